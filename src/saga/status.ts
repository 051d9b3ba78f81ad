/** Where sagas are, for people: who executes them, what they wait for, and each of their steps with its attempts and errors. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { arrayLiteral, reader } from "../contract/row.ts"
import { Database } from "../database/Database.ts"
import { Time } from "../domain/time.ts"

const StepStatus = Schema.Struct({
  name: Schema.String,
  state: Schema.Literals(["begun", "done", "failed", "undoing", "undone"]),
  begunAt: Time,
  settledAt: Schema.NullOr(Time),
  /** How long it waits at most. */
  until: Schema.NullOr(Time),
  /** How often it has failed and was repeated, since when, and with which last error. */
  attempts: Schema.Int,
  failingSince: Schema.NullOr(Time),
  lastError: Schema.NullOr(Schema.String),
  error: Schema.Unknown,
})

/**
 * Where the saga of an operation is. `queued`: it is due, and no worker has claimed it; `waiting`: until `dueAt`; `stuck`: until it is
 * resumed or cancelled. `worker`: host and process; its lease runs until `leaseUntil`.
 */
const SagaStatus = Schema.Struct({
  operationId: Schema.String,
  version: Schema.NullOr(Schema.Int),
  phase: Schema.Literals(["queued", "running", "waiting", "stuck", "ended"]),
  worker: Schema.NullOr(Schema.String),
  leaseUntil: Schema.NullOr(Time),
  /** How often it was claimed. */
  epoch: Schema.NullOr(Schema.Int),
  dueAt: Schema.NullOr(Time),
  steps: Schema.Array(StepStatus),
})
export type SagaStatus = typeof SagaStatus.Type

const read = reader("the status of a saga", SagaStatus)
const statement = { text: "select * from ipam.saga_status($1::uuid[])", repeatable: true }

/** By operation id, such as those of a page of `Operations.listOperationsByState`; what is not of the saga log is left out. */
export const sagaStatus = (operationIds: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { query } = yield* Database
    const rows = yield* query(statement, [arrayLiteral(operationIds)], { call: "saga_status" })
    const statuses = rows.map((row) =>
      read({
        operationId: row["operation_id"],
        version: row["version"],
        phase: row["phase"],
        worker: row["worker"],
        leaseUntil: row["lease_until"],
        epoch: row["epoch"],
        dueAt: row["due_at"],
        steps: row["steps"] ?? [],
      }),
    )
    return new Map(statuses.map((status) => [status.operationId, status]))
  })
