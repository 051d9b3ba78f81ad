/**
 * The calls of a worker on the saga log: one statement each, and each but `start`, `claim` and those on the lease fenced by the epoch of
 * the claim. All may be sent again.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { DEFAULT } from "../domain/identity.ts"
import { Database, type Statement } from "../database/Database.ts"
import { OperationState } from "../contract/operation.ts"
import type { Beginning } from "../services/defineOperation.ts"
import { arrayLiteral, onlyRow, reader, type Parameter, type Row } from "../contract/row.ts"

/** A step as the log has it. `settled`: its `do` has ended, with that result or that error. */
const RecordedStep = Schema.Struct({
  name: Schema.String,
  state: Schema.Literals(["begun", "done", "failed", "undoing", "undone"]),
  undo: Schema.Boolean,
  settled: Schema.Boolean,
  result: Schema.Unknown,
  error: Schema.Unknown,
  secondsLeft: Schema.NullOr(Schema.Number),
})
export type RecordedStep = typeof RecordedStep.Type

/** How a step has settled, to be recorded with the next write. */
export interface Settled {
  readonly name: string
  readonly state: "done" | "failed" | "undoing" | "undone"
  readonly result?: Schema.Json
  readonly error?: Schema.Json
}

const count = { epoch: Schema.Int, fence: Schema.BigIntFromString }

/** A run that this worker has, with everything that was recorded of it. */
const ClaimedSaga = Schema.Struct({
  operationId: Schema.String,
  vrf: Schema.String,
  name: Schema.String,
  version: Schema.Int,
  ...count,
  state: OperationState,
  payload: Schema.Unknown,
  failure: Schema.Unknown,
  stuckStep: Schema.NullOr(Schema.String),
  steps: Schema.Array(RecordedStep),
  hasKeys: Schema.Boolean,
  mustWait: Schema.Boolean,
})
export type ClaimedSaga = typeof ClaimedSaga.Type

/** A run that this worker has, and that was cancelled or resumed meanwhile. */
const WokenSaga = Schema.Struct({ operationId: Schema.String, epoch: Schema.Int, state: OperationState })
type WokenSaga = typeof WokenSaga.Type

const SagaWrite = Schema.Struct({
  fence: Schema.BigIntFromString,
  state: OperationState,
  step: Schema.NullOr(Schema.Literals(["begun", "done", "failed", "undoing", "undone"])),
  result: Schema.Unknown,
  error: Schema.Unknown,
  secondsLeft: Schema.NullOr(Schema.Number),
})
export type SagaWrite = typeof SagaWrite.Type

const readClaimed = reader("a claimed saga", ClaimedSaga)
const readWoken = reader("a woken saga", WokenSaga)
const readWrite = reader("a write of a saga", SagaWrite)

const toClaimed = (row: Row): ClaimedSaga =>
  readClaimed({
    operationId: row["operation_id"],
    vrf: row["vrf"],
    name: row["name"],
    version: row["version"],
    epoch: row["epoch"],
    fence: String(row["fence"]),
    state: row["state"],
    payload: row["payload"],
    failure: row["failure"],
    stuckStep: row["stuck_step"],
    steps: row["steps"],
    hasKeys: row["has_keys"],
    mustWait: row["must_wait"],
  })

/** The claim under which a worker writes. */
export interface Claim {
  readonly operationId: string
  readonly vrf: string
  readonly epoch: number
}

const call = (name: string, parameters: string): Statement => ({
  text: `select * from ipam.${name}(${parameters})`,
  repeatable: true,
})
const statements = {
  start: call(
    "start_saga",
    "$1, $2, $3, $4::int, $5::text::jsonb, $6::text[], $7::text[], $8::text[], $9, $10, $11::uuid",
  ),
  claim: call("claim_sagas", "$1, $2::text[], $3::int[], $4::int, $5::uuid[]"),
  keys: call("saga_keys", "$1"),
  advance: call("advance_saga", "$1, $2::int, $3::text::jsonb, $4, $5, $6::double precision"),
  refuse: call("refuse_step", "$1, $2::int, $3::text::jsonb, $4, $5::text::jsonb, $6, $7::text[]"),
  report: call("report_attempt", "$1, $2::int, $3, $4"),
  unwind: call("unwind_saga", "$1, $2, $3::int, $4::text::jsonb, $5::text::jsonb"),
  park: call("park_saga", "$1, $2, $3::int, $4::text::jsonb, $5::double precision, $6, $7"),
  finish: call("finish_saga", "$1, $2, $3::int, $4::text::jsonb, $5, $6::text::jsonb, $7::text::jsonb"),
  renew: call("renew_lease", "$1, $2, $3::text[], $4::int[], $5::double precision"),
  retire: call("retire_worker", "$1"),
} as const

/** What a worker serves: `null` for any version. */
export type Served = ReadonlyArray<{ readonly name: string; readonly version: number | null }>

const servedLiterals = (served: Served) => [
  arrayLiteral(served.map(({ name }) => name)),
  arrayLiteral(served.map(({ version }) => (version === null ? null : String(version)))),
]

/** The lease was lost: another worker has the saga, or it has ended. Whoever learns of it stops, and touches nothing. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {}) {}

export const makeSagaLog = Effect.map(Database, ({ query }) => {
  const rows = (name: keyof typeof statements, parameters: ReadonlyArray<Parameter>, requestId?: string) =>
    query(statements[name], parameters, { call: callOf(statements[name]), requestId })

  const fenced = <A>(
    name: keyof typeof statements,
    requestId: string,
    parameters: ReadonlyArray<Parameter>,
    read: (row: Row) => A,
  ) =>
    Effect.flatMap(rows(name, parameters, requestId), (answer) => {
      const row = onlyRow(answer)
      return row["outcome"] === "lease_lost" ? Effect.fail(new LeaseLost()) : Effect.succeed(read(row))
    })

  const toWrite = (row: Row): SagaWrite =>
    readWrite({
      fence: String(row["fence"]),
      state: row["state"],
      step: row["step_state"],
      result: row["result"],
      error: row["error"],
      secondsLeft: row["seconds_left"],
    })

  return {
    /** Starts a saga, leased to the worker where that has one; answers the row of `begin_operation`. */
    start: (
      { operationId, vrf, kind, payload, targets }: Beginning,
      version: number,
      targetsMode: "shared" | "exclusive" | "in turn",
      workerId: string | null,
    ) =>
      Effect.map(
        rows(
          "start",
          [
            operationId,
            vrf,
            kind,
            version,
            JSON.stringify(payload),
            arrayLiteral(targets.map((target) => target.vrf ?? vrf ?? DEFAULT)),
            arrayLiteral(targets.map((target) => target.kind)),
            arrayLiteral(targets.map((target) => target.id)),
            targetsMode === "exclusive",
            targetsMode === "in turn",
            workerId,
          ],
          operationId,
        ),
        onlyRow,
      ),
    /** Claims what is due, and names what was woken of that which the worker has. `known`: the operations that it knows to be its own. */
    claim: (workerId: string, served: Served, room: number, known: ReadonlyArray<string>) =>
      Effect.map(rows("claim", [workerId, ...servedLiterals(served), room, arrayLiteral(known)]), (answers) => ({
        claimed: answers.filter((row) => row["outcome"] === "claimed").map(toClaimed),
        woken: answers
          .filter((row) => row["outcome"] === "woken")
          .map((row): WokenSaga =>
            readWoken({ operationId: row["operation_id"], epoch: row["epoch"], state: row["state"] }),
          ),
      })),
    keys: (operationId: string) => rows("keys", [operationId], operationId),
    advance: (
      { operationId, epoch }: Claim,
      settled: ReadonlyArray<Settled>,
      next?: { readonly name: string; readonly undo: boolean; readonly seconds?: number | undefined },
    ) =>
      fenced(
        "advance",
        operationId,
        [operationId, epoch, JSON.stringify(settled), next?.name ?? null, next?.undo ?? false, next?.seconds ?? null],
        toWrite,
      ),
    refuse: (
      { operationId, epoch }: Claim,
      settled: ReadonlyArray<Settled>,
      refused: {
        readonly name: string
        readonly error: Schema.Json
        readonly vrf: string
        readonly slots: ReadonlyArray<string>
      },
    ) =>
      fenced(
        "refuse",
        operationId,
        [
          operationId,
          epoch,
          JSON.stringify(settled),
          refused.name,
          JSON.stringify(refused.error),
          refused.vrf,
          arrayLiteral(refused.slots),
        ],
        toWrite,
      ),
    report: ({ operationId, epoch }: Claim, step: string, error: string) =>
      fenced("report", operationId, [operationId, epoch, step, error], toWrite),
    unwind: ({ operationId, vrf, epoch }: Claim, settled: ReadonlyArray<Settled>, failure: Schema.Json | null) =>
      fenced(
        "unwind",
        operationId,
        [operationId, vrf, epoch, JSON.stringify(settled), failure === null ? null : JSON.stringify(failure)],
        toClaimed,
      ),
    park: (
      { operationId, vrf, epoch }: Claim,
      settled: ReadonlyArray<Settled>,
      why: {
        readonly retrySeconds?: number | undefined
        readonly stuck?: { readonly step: string; readonly error: string }
      },
    ) =>
      fenced(
        "park",
        operationId,
        [
          operationId,
          vrf,
          epoch,
          JSON.stringify(settled),
          why.retrySeconds ?? null,
          why.stuck?.step ?? null,
          why.stuck?.error ?? null,
        ],
        toWrite,
      ),
    /** Answers the row of `finish_operation`. */
    finish: (
      { operationId, vrf, epoch }: Claim,
      settled: ReadonlyArray<Settled>,
      end:
        | { readonly state: "succeeded"; readonly result: Schema.Json }
        | { readonly state: "unwound"; readonly error: Schema.Json },
    ) =>
      fenced(
        "finish",
        operationId,
        [
          operationId,
          vrf,
          epoch,
          JSON.stringify(settled),
          end.state,
          end.state === "succeeded" ? JSON.stringify(end.result) : null,
          end.state === "unwound" ? JSON.stringify(end.error) : null,
        ],
        (row) => row,
      ),
    renew: (workerId: string, label: string, served: Served, leaseSeconds: number) =>
      Effect.asVoid(rows("renew", [workerId, label, ...servedLiterals(served), leaseSeconds])),
    retire: (workerId: string) => Effect.asVoid(rows("retire", [workerId])),
  }
})

export type SagaLog = Effect.Success<typeof makeSagaLog>

const callOf = ({ text }: Statement): string => /ipam\.(\w+)/.exec(text)?.[1] ?? text
