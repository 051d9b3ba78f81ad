/** Where sagas are, for people: who executes them, what they wait for, and each of their steps with its attempts and errors. */
import * as Effect from "effect/Effect"
import { sagaCalls } from "../contract/sagaCalls.ts"
import { Database } from "../database/Database.ts"
import { sender } from "../services/methods.ts"

export type { SagaStatus } from "../contract/sagaCalls.ts"

/**
 * By operation id, such as those of a page of `Operations.listOperationsByState`; what is not of the saga log is left out. `vrf`: the
 * VRF of all of them, where it is the same: then only its server is asked.
 */
export const sagaStatus = (operationIds: ReadonlyArray<string>, vrf?: string) =>
  Effect.gen(function* () {
    const { query } = yield* Database
    const statuses = yield* sender(query)(sagaCalls.sagaStatus, { operationIds, vrf })
    return new Map(statuses.map((status) => [status.operationId, status]))
  })
