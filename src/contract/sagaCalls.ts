/**
 * The calls on the saga log: starting a saga, what a worker does with those that it has claimed, and where they are. Each write of a worker
 * is fenced by the epoch of its claim: after the next claim the answer is `null`, and nothing was written. All may be sent again.
 */
import * as Schema from "effect/Schema"
import { Time } from "../domain/time.ts"
import { answerColumns, releaseDetailOf, toAllocation } from "./allocationRows.ts"
import { always, anyRows, apart, byOutcome, gives, oneRow, partOf } from "./call.ts"
import { OperationState, type Target } from "./operation.ts"
import {
  beginning,
  beginRefusals,
  lostAllocations,
  operationColumns,
  targetVrfs,
  toOperation,
  type AskedOperation,
} from "./operationCalls.ts"
import { arrayLiteral, fieldsIn, reader, type Columns } from "./row.ts"

const StepState = Schema.Literals(["begun", "done", "failed", "undoing", "undone"])

/** A step as the log has it. `settled`: its `do` has ended, with that result or that error. */
const RecordedStep = Schema.Struct({
  name: Schema.String,
  state: StepState,
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

/** A run that a worker has, with everything that was recorded of it. */
const ClaimedSaga = Schema.Struct({
  operationId: Schema.String,
  vrf: Schema.String,
  name: Schema.String,
  version: Schema.Int,
  epoch: Schema.Int,
  fence: Schema.BigIntFromString,
  state: OperationState,
  payload: Schema.Unknown,
  failure: Schema.Unknown,
  stuckStep: Schema.NullOr(Schema.String),
  steps: Schema.Array(RecordedStep),
  hasKeys: Schema.Boolean,
  mustWait: Schema.Boolean,
})
export type ClaimedSaga = typeof ClaimedSaga.Type

/** A run that the worker has already, and that was cancelled or resumed meanwhile. */
const WokenSaga = Schema.Struct({ operationId: Schema.String, epoch: Schema.Int, state: OperationState })

/** What a write of a worker answers: the state of the operation, and the step that was to begin, if any. */
const SagaWrite = Schema.Struct({
  fence: Schema.BigIntFromString,
  state: OperationState,
  stepState: Schema.NullOr(StepState),
  result: Schema.Unknown,
  error: Schema.Unknown,
  secondsLeft: Schema.NullOr(Schema.Number),
})
export type SagaWrite = typeof SagaWrite.Type

const StepStatus = Schema.Struct({
  name: Schema.String,
  state: StepState,
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

/** What a worker serves: `null` for any version. */
export type Served = ReadonlyArray<{ readonly name: string; readonly version: number | null }>

/** The claim under which a worker writes. */
export interface Claim {
  readonly operationId: string
  readonly vrf: string
  readonly epoch: number
}

/** A write of a worker, which also records how steps have settled. */
export interface Writing extends Claim {
  readonly settled: ReadonlyArray<Settled>
}

const claimedColumns = {
  outcome: "text",
  operation_id: "uuid",
  vrf: "text",
  name: "text",
  version: "integer",
  epoch: "integer",
  fence: "bigint",
  state: "text",
  payload: "jsonb",
  failure: "jsonb",
  stuck_step: "text",
  steps: "jsonb",
  has_keys: "boolean",
  must_wait: "boolean",
} satisfies Columns
const writeColumns = {
  outcome: "text",
  fence: "bigint",
  woken: "boolean",
  state: "text",
  step_state: "text",
  result: "jsonb",
  error: "jsonb",
  seconds_left: "double precision",
} satisfies Columns
const statusColumns = {
  operation_id: "uuid",
  version: "integer",
  phase: "text",
  worker: "text",
  lease_until: "timestamp with time zone",
  epoch: "integer",
  due_at: "timestamp with time zone",
  steps: "jsonb",
} satisfies Columns

const claimedFields = fieldsIn(claimedColumns)
const writeFields = fieldsIn(writeColumns)
const statusFields = fieldsIn(statusColumns)
const readClaimed = reader("a claimed saga", ClaimedSaga)
const readWoken = reader("a woken saga", WokenSaga)
const readWrite = reader("a write of a saga", SagaWrite)
const readStatus = reader("the status of a saga", SagaStatus)
const readStart = reader("a start", Schema.Struct({ claimed: Schema.Boolean }))

const lease_lost = gives(() => null)
const written = oneRow(writeColumns, byOutcome({ recorded: gives((row) => readWrite(writeFields(row))), lease_lost }))
const operation = gives(toOperation)
const nothing = (column: string) =>
  oneRow(
    { [column]: "void" },
    always(() => undefined),
  )

const ofRun = { operation_id: "uuid", epoch: "integer" } as const
const settled = ["jsonb", (request: Writing) => JSON.stringify(request.settled)] as const
const ofServed = {
  names: ["text[]", ({ served }: { readonly served: Served }) => arrayLiteral(served.map(({ name }) => name))],
  versions: [
    "integer[]",
    ({ served }: { readonly served: Served }) =>
      arrayLiteral(served.map(({ version }) => (version === null ? null : String(version)))),
  ],
} as const
/** `null` is no value, where JSON has one of its own. */
const json = (value: Schema.Json | undefined) => (value === undefined ? null : JSON.stringify(value))

export const sagaCalls = {
  /** Begins the operation of a saga and its run. `claimed`: it is leased to that worker. */
  startSaga: partOf<{
    readonly operationId: string
    readonly vrf: string
    readonly kind: string
    readonly version: number
    readonly payload: Schema.Json
    readonly targets: ReadonlyArray<Target>
    readonly exclusive: boolean
    readonly takesTurn: boolean
    readonly workerId: string | null
  }>()("start_saga", {
    role: "allocator",
    parameters: {
      ...beginning,
      version: "integer",
      exclusive: "boolean",
      takes_turn: "boolean",
      worker_id: "uuid",
    },
    answer: oneRow(
      operationColumns,
      byOutcome({
        begun: gives((row) => ({ operation: toOperation(row), ...readStart(row["detail"]) })),
        replayed: gives((row) => ({ operation: toOperation(row), claimed: false })),
        ...beginRefusals,
      }),
    ),
    otherVrfs: targetVrfs,
  }),
  /** Claims what is due, and names what was woken of that which the worker has. `known`: the operations that it knows to be its own. */
  claimSagas: partOf<{
    readonly workerId: string
    readonly served: Served
    readonly maxRuns: number
    readonly known: ReadonlyArray<string>
  }>()("claim_sagas", {
    role: "allocator",
    parameters: {
      worker_id: "uuid",
      ...ofServed,
      max_runs: "integer",
      known: ["uuid[]", ({ known }) => arrayLiteral(known)],
    },
    answer: anyRows(
      claimedColumns,
      byOutcome({
        claimed: gives((row) => ({ claimed: readClaimed(claimedFields(row)) })),
        woken: gives((row) => ({ woken: readWoken(claimedFields(row)) })),
      }),
    ),
    everywhere: apart,
  }),
  /** What a saga has allocated so far, as it was allocated, and how that was released, if it was. */
  sagaKeys: partOf<{ readonly operationId: string }>()("saga_keys", {
    role: "allocator",
    parameters: { operation_id: "uuid" },
    answer: anyRows(
      answerColumns,
      byOutcome({
        replayed: gives((row) => ({
          allocation: toAllocation(row),
          released: row["detail"] === null ? undefined : releaseDetailOf(row["detail"]),
        })),
      }),
    ),
    everywhere: apart,
  }),
  /** The write at the boundary of two steps. */
  advanceSaga: partOf<
    Writing & { readonly next?: string; readonly nextUndo?: boolean; readonly nextSeconds?: number | undefined }
  >()("advance_saga", {
    role: "allocator",
    parameters: {
      ...ofRun,
      settled,
      next: "text",
      next_undo: ["boolean", ({ nextUndo }) => nextUndo ?? false],
      next_seconds: "double precision",
    },
    answer: written,
    batch: {
      sqlName: "advance_saga_batch",
      shared: [],
      lists: {
        operation_ids: "operation_id",
        epochs: "epoch",
        settled: "settled",
        nexts: "next",
        next_undos: "next_undo",
        next_seconds: "next_seconds",
      },
    },
  }),
  /** Records that a step was refused its addresses, and permanently fences their keys. */
  refuseStep: partOf<
    Writing & {
      readonly name: string
      readonly refusal: Schema.Json
      readonly slotVrf: string
      readonly slots: ReadonlyArray<string>
    }
  >()("refuse_step", {
    role: "allocator",
    parameters: {
      ...ofRun,
      settled,
      name: "text",
      error: ["jsonb", ({ refusal }) => JSON.stringify(refusal)],
      slot_vrf: "text",
      slots: ["text[]", ({ slots }) => arrayLiteral(slots)],
    },
    answer: written,
  }),
  /** Shows that an attempt at a step failed and is repeated. */
  reportAttempt: partOf<Claim & { readonly name: string; readonly error: string }>()("report_attempt", {
    role: "allocator",
    parameters: { ...ofRun, name: "text", error: "text" },
    answer: written,
  }),
  /** Decides that a saga unwinds, before anything is undone. */
  unwindSaga: partOf<Writing & { readonly failure: Schema.Json | null }>()("unwind_saga", {
    role: "allocator",
    parameters: {
      ...ofRun,
      vrf: "text",
      settled,
      failure: ["jsonb", ({ failure }) => json(failure ?? undefined)],
    },
    answer: oneRow(
      claimedColumns,
      byOutcome({ unwinding: gives((row) => readClaimed(claimedFields(row))), lease_lost }),
    ),
  }),
  /** Puts a run back, until a time or until a person resumes it. */
  parkSaga: partOf<
    Writing & {
      readonly retrySeconds?: number | undefined
      readonly stuckStep?: string | undefined
      readonly stuckError?: string | undefined
    }
  >()("park_saga", {
    role: "allocator",
    parameters: {
      ...ofRun,
      vrf: "text",
      settled,
      retry_seconds: "double precision",
      stuck_step: "text",
      stuck_error: "text",
    },
    answer: written,
  }),
  /**
   * Ends a saga with its operation and its addresses, and answers the operation as it is then. `"unwinds"`: it was to succeed, and was
   * cancelled before. `AllocationsLost`, as an answer: it was to succeed, and an address of it is lost.
   */
  finishSaga: partOf<
    Writing & { readonly state: "succeeded" | "unwound"; readonly result?: Schema.Json; readonly error?: Schema.Json }
  >()("finish_saga", {
    role: "allocator",
    parameters: {
      ...ofRun,
      vrf: "text",
      settled,
      state: "text",
      result: ["jsonb", ({ result }) => json(result)],
      error: ["jsonb", ({ error }) => json(error)],
    },
    answer: oneRow(
      operationColumns,
      byOutcome({
        finished: operation,
        replayed: operation,
        operation_ended: operation,
        operation_unwinding: gives(() => "unwinds" as const),
        allocations_lost: gives((row, asked: AskedOperation) => lostAllocations(row, asked)),
        lease_lost,
      }),
    ),
    batch: {
      sqlName: "finish_saga_batch",
      shared: [],
      lists: {
        operation_ids: "operation_id",
        vrfs: "vrf",
        epochs: "epoch",
        settled: "settled",
        states: "state",
        results: "result",
        errors: "error",
      },
    },
  }),
  /** Renews the lease of a worker on everything that it has; its first call registers it. */
  renewLease: partOf<{
    readonly workerId: string
    readonly label: string
    readonly served: Served
    readonly leaseSeconds: number
  }>()("renew_lease", {
    role: "allocator",
    parameters: { worker_id: "uuid", label: "text", ...ofServed, lease_seconds: "double precision" },
    answer: nothing("renew_lease"),
    everywhere: apart,
  }),
  /** Hands back everything that a worker has. */
  retireWorker: partOf<{ readonly workerId: string }>()("retire_worker", {
    role: "allocator",
    parameters: { worker_id: "uuid" },
    answer: nothing("retire_worker"),
    everywhere: apart,
  }),
  /** Where the sagas of operations are; what is not of the saga log is left out. */
  sagaStatus: partOf<{ readonly operationIds: ReadonlyArray<string>; readonly vrf?: string | undefined }>()(
    "saga_status",
    {
      role: "reader",
      parameters: { operation_ids: ["uuid[]", ({ operationIds }) => arrayLiteral(operationIds)] },
      answer: anyRows(
        statusColumns,
        always((row) => readStatus({ ...statusFields(row), steps: row["steps"] ?? [] })),
      ),
      everywhere: { kind: "all" },
    },
  ),
}
