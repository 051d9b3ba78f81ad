/** Retention: what the ledger and the tombstones forget, and in which order, so that nothing that was forgotten can happen again. */
import * as Effect from "effect/Effect"
import { decodeInput } from "../contract/input.ts"
import { PruneRequest } from "../contract/operationRequests.ts"
import { upkeepCalls, type Prunable } from "../contract/upkeepCalls.ts"
import type { Server } from "../database/Database.ts"
import { onEach, serversOf } from "../database/servers.ts"
import { sender } from "./methods.ts"

/**
 * What went: operations that ended before the horizon and hold nothing, of which only their end stays known, and tombstones of
 * UUIDv7 keys. `held`: operations that are old enough and hold addresses, which stay.
 */
export interface Pruned {
  readonly operations: number
  readonly keys: number
  readonly held: number
}

const decode = decodeInput(PruneRequest)
const BATCH = 500

export const makePruning = (database: Server) => {
  const pruneThere = Effect.fnUntraced(function* (server: Server, horizonSeconds: number) {
    const send = sender(server.query)
    // First, since it also refuses a horizon that is too short.
    let keys = 0
    for (let gone = BATCH; gone === BATCH;) {
      gone = yield* send(upkeepCalls.pruneKeys, { horizonSeconds, maxRows: BATCH })
      keys += gone
    }
    let operations = 0
    let held = 0
    let afterSequence: string | null = null
    for (;;) {
      const page: ReadonlyArray<Prunable> = yield* send(upkeepCalls.prunableOperations, {
        horizonSeconds,
        afterSequence,
        pageSize: BATCH,
      })
      const last = page.at(-1)
      if (last === undefined) return { operations, keys, held }
      afterSequence = last.sequence
      const due = page.filter(({ holds }) => !holds)
      held += page.length - due.length
      if (due.length === 0) continue
      const operationIds = due.map(({ operationId }) => operationId)
      operations += yield* send(upkeepCalls.pruneOperations, { horizonSeconds, operationIds })
    }
  })
  const prune = Effect.fn("Operations.prune")(function* (input: typeof PruneRequest.Encoded = {}) {
    const { horizonSeconds } = yield* decode(input)
    const pruned = yield* onEach(serversOf(database), (server) => pruneThere(server, horizonSeconds))
    const sum = (count: keyof Pruned) => pruned.reduce((all, one) => all + one[count], 0)
    return { operations: sum("operations"), keys: sum("keys"), held: sum("held") }
  })

  return { prune }
}
