/**
 * The ledger of operations: which saga works on what, how far it is, and how it ended.
 *
 * An operation begins with everything that it works on, in one write, and ends with its state and its result or error, in one
 * write. What has ended never changes. Every call may be made again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { CallError } from "./Allocator.ts"
import { method } from "./metrics.ts"
import { onlyRow, outcomeOf, reader } from "./rows.ts"
import { arrayLiteral } from "../database/connection.ts"
import { Database, type Row, type Statement } from "../database/Database.ts"
import {
  AllocationsLost,
  type AmbiguousIdentity,
  type InvalidInput,
  KeyExpired,
  KeyReused,
  NotFound,
  OperationEnded,
  TargetBusy,
} from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import type { Operation, Target } from "../contract/operation.ts"
import type {
  HistoryRequest,
  IdentityRequest,
  OperationIdRequest,
  OperationsRequest,
  PendingRequest,
  PruneRequest,
  TargetRequest,
} from "../contract/operationRequests.ts"
import {
  BeginRequest,
  CancelRequest,
  FinishRequest,
  OperationRequest,
  StuckRequest,
} from "../contract/operationRequests.ts"
import { makePruning, type Pruned } from "./pruning.ts"
import { makeReading } from "./operationReads.ts"
import * as statements from "./operationStatements.ts"

type Answer<A, Refusal = never> = Effect.Effect<A, Refusal | CallError>

export class Operations extends Context.Service<
  Operations,
  {
    /**
     * Begins an operation (`begun`), or finds it begun (`replayed`), in whatever state it is by now: only one that is `pending`
     * may go forward. `KeyReused`: begun with other arguments. `TargetBusy`: it asked to be alone on its targets and is not.
     * Waits for whoever gates on one of its targets.
     */
    readonly beginOperation: (
      request: typeof BeginRequest.Encoded,
    ) => Answer<Operation, KeyReused | KeyExpired | TargetBusy>
    /**
     * Decides that it unwinds: from now on nothing is allocated under it, and it can only end as `unwound`. It stays pending until
     * then. One that has ended stays as it is, which the answer says: where its state is `succeeded`, undo nothing.
     */
    readonly unwindOperation: (request: typeof OperationRequest.Encoded) => Answer<Operation, NotFound>
    /**
     * Ends it together with its addresses, in all VRFs, in one commit: `succeeded` confirms what is provisional, `unwound` releases
     * all that it still holds. `OperationEnded`: it ended otherwise, or was to succeed and unwinds. `AllocationsLost`: it was to
     * succeed, and an address of it was reclaimed, or released by a person.
     */
    readonly finishOperation: (
      request: typeof FinishRequest.Encoded,
    ) => Answer<Operation, NotFound | OperationEnded | AllocationsLost>
    /**
     * Records that it shall unwind, whether anybody works on it or not, and answers what that did: `cancelled` (it unwinds from now
     * on, or was never begun and is `unwound`), `replayed` (it unwinds already), `operation_ended` (nothing). It undoes nothing itself.
     */
    readonly cancelOperation: (request: typeof CancelRequest.Encoded) => Answer<Operation, NotFound | KeyExpired>
    /** Records that it shall go on where it stopped: `resumed`, `not_stuck`, `operation_ended` (nothing was done). */
    readonly resumeOperation: (request: typeof OperationRequest.Encoded) => Answer<Operation, NotFound>
    /** Marks it as one that does not go on by itself. It stays pending, to every gate. */
    readonly markStuck: (request: typeof StuckRequest.Encoded) => Answer<Operation, NotFound | OperationEnded>
    /** Takes that mark away. */
    readonly clearStuck: (request: typeof OperationRequest.Encoded) => Answer<Operation, NotFound | OperationEnded>
    readonly getOperation: (request: typeof OperationIdRequest.Encoded) => Answer<Operation | null>
    /** Whether any operation on the target has not ended. Where that cannot be read: true. Without a vrf: on one of that kind and id in any. */
    readonly hasPendingOperation: (request: typeof PendingRequest.Encoded) => Effect.Effect<boolean, InvalidInput>
    /** The operations on the target that have not ended, the oldest first. Fails rather than being empty where it cannot read. */
    readonly pendingOperations: (request: typeof PendingRequest.Encoded) => Answer<ReadonlyArray<Operation>>
    /** The one that began last, for display only: an older one may still be pending. */
    readonly latestOperation: (request: typeof TargetRequest.Encoded) => Answer<Operation | null, AmbiguousIdentity>
    /** One page of the history of a target, newest first. Without a vrf it must be known in at most one. */
    readonly listOperations: (
      request: typeof HistoryRequest.Encoded,
    ) => Answer<ReadonlyArray<Operation>, AmbiguousIdentity>
    /** One page of all operations, or of one state, newest first. */
    readonly listOperationsByState: (request?: typeof OperationsRequest.Encoded) => Answer<ReadonlyArray<Operation>>
    /** The VRF of an object, known as a target or as the owner of something held; `null` for one nobody knows. `AmbiguousIdentity` lists several. */
    readonly identify: (request: typeof IdentityRequest.Encoded) => Answer<Target | null, AmbiguousIdentity>
    /**
     * Forgets what ended longer ago than the horizon; see `Pruned`. `forget` is asked first to delete what an engine keeps of these
     * executions.
     */
    readonly prune: <E = never, R = never>(
      request?: typeof PruneRequest.Encoded,
      forget?: (executionIds: ReadonlyArray<string>) => Effect.Effect<unknown, E, R>,
    ) => Effect.Effect<Pruned, CallError | E, R>
  }
>()("saga-ipam/services/Operations") {
  static readonly layer: Layer.Layer<Operations, never, Database> = Layer.effect(
    Operations,
    Effect.suspend(() => make),
  )
}

const decode = {
  begin: decodeInput(BeginRequest),
  finish: decodeInput(FinishRequest),
  cancel: decodeInput(CancelRequest),
  operation: decodeInput(OperationRequest),
  stuck: decodeInput(StuckRequest),
}

const beginOutcomes = ["begun", "replayed", "operation_reused", "key_expired", "target_busy"] as const

const elsewhere = reader("an operation of another VRF", Schema.Struct({ vrfs: Schema.Array(Schema.String) }))
const lost = reader("lost allocations", Schema.Struct({ count: Schema.Int, lost: AllocationsLost.fields.lost }))
const busy = reader("busy targets", Schema.Struct({ count: Schema.Int, pending: TargetBusy.fields.pending }))
const reused = reader("a reused operation", Schema.Struct({ differs: Schema.Array(Schema.String) }))

const make = Effect.gen(function* () {
  const { query } = yield* Database

  const beginOperation = method(
    "Operations.beginOperation",
    Effect.fnUntraced(function* (input: typeof BeginRequest.Encoded) {
      const { operationId, vrf, kind, payload, targets, executionId, exclusive, expiresInSeconds } =
        yield* decode.begin(input)
      const context = { call: "begin_operation", vrf, requestId: operationId }
      const rows = yield* query(
        statements.begin,
        [
          operationId,
          vrf,
          kind,
          JSON.stringify(payload),
          arrayLiteral(targets.map((target) => target.vrf ?? vrf)),
          arrayLiteral(targets.map((target) => target.kind)),
          arrayLiteral(targets.map((target) => target.id)),
          executionId ?? null,
          exclusive,
          expiresInSeconds ?? null,
        ],
        context,
      )
      const row = onlyRow(rows)
      switch (outcomeOf(row, beginOutcomes)) {
        case "operation_reused":
          return yield* new KeyReused({ vrf, requestId: operationId, ...reused(row["detail"]) })
        case "key_expired":
          return yield* new KeyExpired({ vrf, requestId: operationId })
        case "target_busy":
          return yield* new TargetBusy({ vrf, requestId: operationId, ...busy(row["detail"]) })
        case "begun":
        case "replayed":
          return statements.toOperation(row)
      }
    }),
  )

  /** The row of a call on an operation in its home, where there is one. */
  const change = Effect.fnUntraced(function* (
    statement: Statement,
    call: string,
    { operationId, vrf }: typeof OperationRequest.Type,
    ...rest: ReadonlyArray<string | null>
  ) {
    const rows = yield* query(statement, [operationId, vrf, ...rest], { call, vrf, requestId: operationId })
    const row = onlyRow(rows)
    if (row["outcome"] !== "not_found") return row
    return yield* new NotFound({ what: "operation", vrf, requestId: operationId, ...elsewhere(row["detail"]) })
  })

  /** What is refused once the operation has ended. */
  const unlessEnded = Effect.fnUntraced(function* (row: Row) {
    const operation = statements.toOperation(row)
    const { outcome, vrf, operationId, state } = operation
    if (outcome !== "operation_ended") return operation
    return yield* new OperationEnded({ vrf, requestId: operationId, status: state })
  })

  const unwindOperation = method(
    "Operations.unwindOperation",
    Effect.fnUntraced(function* (input: typeof OperationRequest.Encoded) {
      return statements.toOperation(
        yield* change(statements.unwind, "unwind_operation", yield* decode.operation(input)),
      )
    }),
  )

  const finishOperation = method(
    "Operations.finishOperation",
    Effect.fnUntraced(function* (input: typeof FinishRequest.Encoded) {
      const { state, result, error, ...operation } = yield* decode.finish(input)
      const json = [JSON.stringify(result), JSON.stringify(error)]
      const row = yield* change(statements.finish, "finish_operation", operation, state, ...json)
      const refused = { vrf: operation.vrf, requestId: operation.operationId }
      switch (row["outcome"]) {
        case "operation_unwinding":
          return yield* new OperationEnded({ ...refused, status: "unwinding" })
        case "allocations_lost":
          return yield* new AllocationsLost({ ...refused, ...lost(row["detail"]) })
        default:
          return yield* unlessEnded(row)
      }
    }),
  )

  const cancelOperation = method(
    "Operations.cancelOperation",
    Effect.fnUntraced(function* (input: typeof CancelRequest.Encoded) {
      const { kind = null, error, ...operation } = yield* decode.cancel(input)
      const row = yield* change(statements.cancel, "cancel_operation", operation, kind, JSON.stringify(error))
      if (row["outcome"] !== "key_expired") return statements.toOperation(row)
      return yield* new KeyExpired({ vrf: operation.vrf, requestId: operation.operationId })
    }),
  )

  const resumeOperation = method(
    "Operations.resumeOperation",
    Effect.fnUntraced(function* (input: typeof OperationRequest.Encoded) {
      return statements.toOperation(
        yield* change(statements.resume, "resume_operation", yield* decode.operation(input)),
      )
    }),
  )

  const markStuck = method(
    "Operations.markStuck",
    Effect.fnUntraced(function* (input: typeof StuckRequest.Encoded) {
      const { step, error, ...operation } = yield* decode.stuck(input)
      return yield* unlessEnded(yield* change(statements.markStuck, "mark_stuck", operation, step, error))
    }),
  )

  const clearStuck = method(
    "Operations.clearStuck",
    Effect.fnUntraced(function* (input: typeof OperationRequest.Encoded) {
      const operation = yield* decode.operation(input)
      return yield* unlessEnded(yield* change(statements.clearStuck, "clear_stuck", operation))
    }),
  )

  return Operations.of({
    beginOperation,
    unwindOperation,
    finishOperation,
    cancelOperation,
    resumeOperation,
    markStuck,
    clearStuck,
    ...makeReading(query),
    ...makePruning(query),
  })
})
