/** Retention: what the ledger and the tombstones forget, and in which order, so that nothing that was forgotten can happen again. */
import * as Effect from "effect/Effect"
import { onlyRow } from "./rows.ts"
import { arrayLiteral } from "../database/connection.ts"
import type { Database } from "../database/Database.ts"
import { decodeInput } from "../contract/input.ts"
import { PruneRequest } from "../contract/operationRequests.ts"
import * as statements from "./operationStatements.ts"

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

export const makePruning = (query: (typeof Database.Service)["query"]) => {
  const count = (statement: typeof statements.pruneKeys, call: string, parameters: ReadonlyArray<string | number>) =>
    Effect.map(query(statement, parameters, { call }), (rows) => Number(onlyRow(rows)["pruned"]))

  const prune = Effect.fn("Operations.prune")(function* <E = never, R = never>(
    input: typeof PruneRequest.Encoded = {},
    forget: (executionIds: ReadonlyArray<string>) => Effect.Effect<unknown, E, R> = () => Effect.void,
  ) {
    const { horizonSeconds } = yield* decode(input)
    // First, since it also refuses a horizon that is too short.
    let keys = 0
    for (let gone = BATCH; gone === BATCH;) {
      gone = yield* count(statements.pruneKeys, "prune_keys", [horizonSeconds, BATCH])
      keys += gone
    }
    let operations = 0
    let held = 0
    let after: string | null = null
    for (;;) {
      const rows: ReadonlyArray<Record<string, unknown>> = yield* query(
        statements.prunable,
        [horizonSeconds, after, BATCH],
        { call: "prunable_operations" },
      )
      if (rows.length === 0) return { operations, keys, held }
      after = String(rows.at(-1)?.["sequence"])
      const due = rows.filter((row) => row["outcome"] === "found")
      held += rows.length - due.length
      if (due.length === 0) continue
      // The engine's part goes first: an operation that is left over is found again, messages without one never would be.
      const executions = due.map((row) => row["execution_id"]).filter((id) => typeof id === "string")
      if (executions.length > 0) yield* forget(executions)
      const ids = arrayLiteral(due.map((row) => String(row["operation_id"])))
      operations += yield* count(statements.pruneOperations, "prune_operations", [horizonSeconds, ids])
    }
  })

  return { prune }
}
