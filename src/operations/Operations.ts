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
import type { CallError } from "../allocator/Allocator.ts"
import { method } from "../allocator/metrics.ts"
import { onlyRow, outcomeOf, reader } from "../allocator/rows.ts"
import { arrayLiteral } from "../database/connection.ts"
import { Database, type Row, type Statement } from "../database/Database.ts"
import {
  type AmbiguousIdentity,
  type InvalidInput,
  KeyExpired,
  KeyReused,
  NotFound,
  OperationEnded,
} from "../domain/errors.ts"
import { decodeInput } from "../domain/input.ts"
import type { Operation, Target } from "../domain/operation.ts"
import type {
  HistoryRequest,
  IdentityRequest,
  OperationsRequest,
  PruneRequest,
  TargetRequest,
} from "../domain/operationRequests.ts"
import { BeginRequest, FinishRequest, OperationRequest, StuckRequest } from "../domain/operationRequests.ts"
import { makePruning, type Pruned } from "./pruning.ts"
import { makeReading } from "./reading.ts"
import * as statements from "./statements.ts"

type Answer<A, Refusal = never> = Effect.Effect<A, Refusal | CallError>

export class Operations extends Context.Service<
  Operations,
  {
    /**
     * Begins an operation, or finds it begun, in whatever state it is by now. `KeyReused`: begun with other arguments.
     * Waits for whoever gates on one of its targets.
     */
    readonly begin: (request: typeof BeginRequest.Encoded) => Answer<Operation, KeyReused | KeyExpired>
    /** Decides that it unwinds: from now on it can only end as `unwound`. It stays pending until then. */
    readonly unwind: (request: typeof OperationRequest.Encoded) => Answer<Operation, NotFound | OperationEnded>
    /** Ends it. `OperationEnded`: it ended otherwise, or was to succeed and unwinds. */
    readonly finish: (request: typeof FinishRequest.Encoded) => Answer<Operation, NotFound | OperationEnded>
    /** Marks it as one that does not go on by itself. It stays pending, to every gate. */
    readonly markStuck: (request: typeof StuckRequest.Encoded) => Answer<Operation, NotFound | OperationEnded>
    /** Takes that mark away. */
    readonly clearStuck: (request: typeof OperationRequest.Encoded) => Answer<Operation, NotFound | OperationEnded>
    readonly get: (request: typeof OperationRequest.Encoded) => Answer<Operation | null>
    /** Whether any operation on the target has not ended. Where that cannot be read: true. Without a vrf: on one of that kind and id in any. */
    readonly hasPending: (request: typeof TargetRequest.Encoded) => Effect.Effect<boolean, InvalidInput>
    /** The operations on the target that have not ended, the oldest first. Fails rather than being empty where it cannot read. */
    readonly pending: (request: typeof TargetRequest.Encoded) => Answer<ReadonlyArray<Operation>>
    /** The one that began last, for display only: an older one may still be pending. */
    readonly latest: (request: typeof TargetRequest.Encoded) => Answer<Operation | null, AmbiguousIdentity>
    /** One page of the history of a target, newest first. Without a vrf it must be known in at most one. */
    readonly history: (request: typeof HistoryRequest.Encoded) => Answer<ReadonlyArray<Operation>, AmbiguousIdentity>
    /** One page of all operations, or of one state, newest first. */
    readonly list: (request?: typeof OperationsRequest.Encoded) => Answer<ReadonlyArray<Operation>>
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
>()("saga-ipam/operations/Operations") {
  static readonly layer: Layer.Layer<Operations, never, Database> = Layer.effect(
    Operations,
    Effect.suspend(() => make),
  )
}

const decode = {
  begin: decodeInput(BeginRequest),
  finish: decodeInput(FinishRequest),
  operation: decodeInput(OperationRequest),
  stuck: decodeInput(StuckRequest),
}

const beginOutcomes = ["begun", "replayed", "operation_reused", "key_expired"] as const
const knownOutcomes = [
  "unwinding",
  "finished",
  "replayed",
  "stuck",
  "cleared",
  "operation_ended",
  "operation_unwinding",
  "not_found",
] as const

const reused = reader("a reused operation", Schema.Struct({ differs: Schema.Array(Schema.String) }))

const make = Effect.gen(function* () {
  const { query } = yield* Database

  const begin = method(
    "Operations.begin",
    Effect.fnUntraced(function* (input: typeof BeginRequest.Encoded) {
      const { operationId, vrf, kind, payload, targets, executionId } = yield* decode.begin(input)
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
        ],
        context,
      )
      const row = onlyRow(rows)
      switch (outcomeOf(row, beginOutcomes)) {
        case "operation_reused":
          return yield* new KeyReused({ vrf, requestId: operationId, ...reused(row["detail"]) })
        case "key_expired":
          return yield* new KeyExpired({ vrf, requestId: operationId })
        case "begun":
        case "replayed":
          return statements.toOperation(row)
      }
    }),
  )

  /** What a call on an operation that was begun answers. */
  const known = Effect.fnUntraced(function* (rows: ReadonlyArray<Row>, operationId: string) {
    const row = onlyRow(rows)
    switch (outcomeOf(row, knownOutcomes)) {
      case "not_found":
        return yield* new NotFound({ what: "operation", requestId: operationId })
      case "operation_ended":
      case "operation_unwinding": {
        const { vrf, state } = statements.toOperation(row)
        return yield* new OperationEnded({ vrf, requestId: operationId, status: state })
      }
      case "unwinding":
      case "finished":
      case "replayed":
      case "stuck":
      case "cleared":
        return statements.toOperation(row)
    }
  })

  /** Calls a function on an operation that was begun. */
  const change = (statement: Statement, call: string, operationId: string, ...rest: ReadonlyArray<string>) =>
    Effect.flatMap(query(statement, [operationId, ...rest], { call, requestId: operationId }), (rows) =>
      known(rows, operationId),
    )

  const unwind = method(
    "Operations.unwind",
    Effect.fnUntraced(function* (input: typeof OperationRequest.Encoded) {
      const { operationId } = yield* decode.operation(input)
      return yield* change(statements.unwind, "unwind_operation", operationId)
    }),
  )

  const finish = method(
    "Operations.finish",
    Effect.fnUntraced(function* (input: typeof FinishRequest.Encoded) {
      const { operationId, state, result, error } = yield* decode.finish(input)
      const json = [JSON.stringify(result), JSON.stringify(error)]
      return yield* change(statements.finish, "finish_operation", operationId, state, ...json)
    }),
  )

  const markStuck = method(
    "Operations.markStuck",
    Effect.fnUntraced(function* (input: typeof StuckRequest.Encoded) {
      const { operationId, step, error } = yield* decode.stuck(input)
      return yield* change(statements.markStuck, "mark_stuck", operationId, step, error)
    }),
  )

  const clearStuck = method(
    "Operations.clearStuck",
    Effect.fnUntraced(function* (input: typeof OperationRequest.Encoded) {
      const { operationId } = yield* decode.operation(input)
      return yield* change(statements.clearStuck, "clear_stuck", operationId)
    }),
  )

  return Operations.of({
    begin,
    unwind,
    finish,
    markStuck,
    clearStuck,
    ...makeReading(query),
    ...makePruning(query),
  })
})
