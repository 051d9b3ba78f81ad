/**
 * Which statement serves a list, and where its next page begins. Pure: pages go by key, never by offset, so that what is
 * allocated or released meanwhile neither hides nor repeats what stays.
 */
import { DEFAULT } from "../domain/identity.ts"
import type { ListRequest } from "../contract/requests.ts"
import type { CallContext, Parameter, Statement } from "../database/Database.ts"
import * as statements from "./allocatorStatements.ts"

interface Page {
  readonly statement: Statement
  readonly parameters: ReadonlyArray<Parameter>
  readonly context: CallContext
}

/** The statement for one page of the request, after `after`. */
export const pageOf = (request: typeof ListRequest.Type): Page => {
  const { pool, requestId, owner, address, prefix, after, pageSize } = request
  const everywhere = request.vrf ?? null
  const vrf = request.vrf ?? DEFAULT
  const afterAddress = after?.address ?? null
  const afterVrf = after?.vrf ?? null
  if (pool !== undefined) {
    return {
      statement: statements.listByPool,
      parameters: [vrf, pool, afterAddress, pageSize],
      context: { call: "list_by_pool", vrf, pool },
    }
  }
  if (requestId !== undefined) {
    return {
      statement: statements.listByRequest,
      parameters: [vrf, requestId, after?.slot ?? null, pageSize],
      context: { call: "list_by_request", vrf, requestId },
    }
  }
  if (owner !== undefined) {
    return {
      statement: statements.listByOwner,
      parameters: [everywhere, owner.kind, owner.id, afterVrf, afterAddress, pageSize],
      context: { call: "list_by_owner", vrf: request.vrf },
    }
  }
  if (address !== undefined) {
    return {
      statement: statements.listByAddress,
      parameters: [everywhere, address, afterVrf, pageSize],
      context: { call: "list_by_address", vrf: request.vrf },
    }
  }
  if (prefix !== undefined) {
    return {
      statement: statements.listByPrefix,
      parameters: [vrf, prefix, afterAddress, pageSize],
      context: { call: "list_by_prefix", vrf },
    }
  }
  const only = request.allVrfs ? null : vrf
  return {
    statement: statements.listAll,
    parameters: [only, afterVrf, afterAddress, pageSize],
    context: { call: "list_all", vrf: only ?? undefined },
  }
}
