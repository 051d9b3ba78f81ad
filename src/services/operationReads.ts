/** What is pending on a target, and what was: the calls on the ledger that change nothing. */
import * as Effect from "effect/Effect"
import { method } from "./metrics.ts"
import { onlyRow } from "./rows.ts"
import type { Database } from "../database/Database.ts"
import { AmbiguousIdentity } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import {
  HistoryRequest,
  IdentityRequest,
  OperationIdRequest,
  OperationsRequest,
  PendingRequest,
  TargetRequest,
} from "../contract/operationRequests.ts"
import * as statements from "./operationStatements.ts"

const decode = {
  operation: decodeInput(OperationIdRequest),
  target: decodeInput(TargetRequest),
  pending: decodeInput(PendingRequest),
  identity: decodeInput(IdentityRequest),
  history: decodeInput(HistoryRequest),
  list: decodeInput(OperationsRequest),
}

export const makeReading = (query: (typeof Database.Service)["query"]) => {
  const getOperation = method(
    "Operations.getOperation",
    Effect.fnUntraced(function* (input: typeof OperationIdRequest.Encoded) {
      const { operationId } = yield* decode.operation(input)
      const [row] = yield* query(statements.get, [operationId], { call: "get_operation", requestId: operationId })
      return row === undefined ? null : statements.toOperation(row)
    }),
  )

  const hasPendingOperation = method(
    "Operations.hasPendingOperation",
    Effect.fnUntraced(function* (input: typeof PendingRequest.Encoded) {
      const { vrf, kind, id, exceptOperationId } = yield* decode.pending(input)
      const parameters = [vrf ?? null, kind, id, exceptOperationId ?? null]
      const asked = query(statements.hasPending, parameters, { call: "has_pending_operation", vrf })
      return yield* Effect.map(asked, (rows) => onlyRow(rows)["pending"] !== false).pipe(
        Effect.catchCause((cause) =>
          Effect.as(Effect.logWarning("Taken for pending, since it cannot be read", cause), true),
        ),
      )
    }),
  )

  const pendingOperations = method(
    "Operations.pendingOperations",
    Effect.fnUntraced(function* (input: typeof PendingRequest.Encoded) {
      const { vrf, kind, id, exceptOperationId } = yield* decode.pending(input)
      const parameters = [vrf ?? null, kind, id, exceptOperationId ?? null]
      const rows = yield* query(statements.pending, parameters, { call: "pending_operations", vrf })
      return rows.map(statements.toOperation)
    }),
  )

  /** The one VRF that a statement answers for an object. */
  const onlyVrf = Effect.fnUntraced(function* (
    statement: typeof statements.targetVrfs,
    call: string,
    { kind, id }: { readonly kind: string; readonly id: string },
  ) {
    const rows = yield* query(statement, [kind, id], { call })
    const vrfs = rows.map((row) => String(row["vrf"]))
    if (vrfs.length < 2) return vrfs[0]
    const candidates = vrfs.map((one) => ({ vrf: one, id }))
    return yield* new AmbiguousIdentity({ identity: `${kind} ${id}`, candidates })
  })

  const homeOf = (target: typeof TargetRequest.Type) =>
    target.vrf === undefined
      ? onlyVrf(statements.targetVrfs, "target_vrfs", target)
      : Effect.succeed<string | undefined>(target.vrf)

  const identify = method(
    "Operations.identify",
    Effect.fnUntraced(function* (input: typeof IdentityRequest.Encoded) {
      const object = yield* decode.identity(input)
      const vrf = yield* onlyVrf(statements.identityVrfs, "identity_vrfs", object)
      return vrf === undefined ? null : { vrf, ...object }
    }),
  )

  const latestOperation = method(
    "Operations.latestOperation",
    Effect.fnUntraced(function* (input: typeof TargetRequest.Encoded) {
      const target = yield* decode.target(input)
      const vrf = yield* homeOf(target)
      if (vrf === undefined) return null
      const context = { call: "latest_operation", vrf }
      const [row] = yield* query(statements.latest, [vrf, target.kind, target.id], context)
      return row === undefined ? null : statements.toOperation(row)
    }),
  )

  const listOperations = method(
    "Operations.listOperations",
    Effect.fnUntraced(function* (input: typeof HistoryRequest.Encoded) {
      const { before, pageSize, ...target } = yield* decode.history(input)
      const vrf = yield* homeOf(target)
      if (vrf === undefined) return []
      const parameters = [vrf, target.kind, target.id, before?.toString() ?? null, pageSize]
      const rows = yield* query(statements.history, parameters, { call: "list_operations", vrf })
      return rows.map(statements.toOperation)
    }),
  )

  const listOperationsByState = method(
    "Operations.listOperationsByState",
    Effect.fnUntraced(function* (input: typeof OperationsRequest.Encoded = {}) {
      const { state, before, pageSize } = yield* decode.list(input)
      const parameters = [state ?? null, before?.toString() ?? null, pageSize]
      const rows = yield* query(statements.byState, parameters, { call: "list_operations_by_state" })
      return rows.map(statements.toOperation)
    }),
  )

  return {
    getOperation,
    hasPendingOperation,
    pendingOperations,
    latestOperation,
    listOperations,
    listOperationsByState,
    identify,
  }
}
