/**
 * A flow with a ledger: a workflow of Effect whose first activity begins an operation and whose last one ends it, so that no
 * flow can forget to. It ends in one of two states, `succeeded` or `unwound`, and the ledger says which, and why.
 *
 * Which of the two is decided in the ledger, by one row, before anything is undone: a crash between an undo and the answer to
 * it, a cancellation that meets the end, or a body that decides otherwise the second time cannot turn it round.
 */
import { isDeepStrictEqual } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Workflow from "effect/workflow/Workflow"
import { IpamError } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import type { Operation } from "../contract/operation.ts"
import { BeginRequest } from "../contract/operationRequests.ts"
import { type Beginning, defineOperation, type PlainSchema, type TargetOf } from "../services/defineOperation.ts"
import { Operations } from "../services/Operations.ts"
import { bracket } from "./bracket.ts"
import { operationIdOf } from "./operationId.ts"
import { resumeExecution } from "./resume.ts"

/** The flow unwound for another reason than an error of one of its steps: it was cancelled. */
export class FlowCancelled extends Schema.TaggedError<FlowCancelled>()("FlowCancelled", {
  operationId: Schema.String,
}) {
  override get message(): string {
    return `The flow was cancelled; everything that it had done is undone (operation ${this.operationId})`
  }
}

/** What the ledger keeps as the error of a flow that was cancelled. */
const encodeCancelled = Schema.encodeSync(FlowCancelled)

export interface SagaOptions<
  Payload extends Schema.Struct.Fields,
  Success extends PlainSchema,
  Failure extends PlainSchema,
> {
  /** What the flow is started with. Stored, so it is frozen once released; nothing secret belongs into it. */
  readonly payload: Payload
  /** The same key is the same flow: started again, it answers what it answered. */
  readonly idempotencyKey: (payload: Schema.Struct.Type<Payload>) => string
  /** Every object that the flow works on. */
  readonly targets: (payload: Schema.Struct.Type<Payload>) => readonly [TargetOf, ...Array<TargetOf>]
  /** The home of the operation; `default` when left out. */
  readonly vrf?: ((payload: Schema.Struct.Type<Payload>) => string) | undefined
  readonly success?: Success | undefined
  /** What the flow may fail with besides the errors of this library. */
  readonly error?: Failure | undefined
}

/**
 * Defines a flow. `name` and the schemas are frozen once released.
 *
 * ```ts
 * const Create = Saga.make("Create", { payload: { id: Schema.String }, idempotencyKey: ({ id }) => id, targets: ({ id }) => [{ kind: "instance", id }] })
 * const live = Create.toLayer(Effect.fnUntraced(function* ({ id }) { ... }))
 * ```
 */
export const make = <
  const Name extends string,
  Payload extends Schema.Struct.Fields,
  Success extends PlainSchema = typeof Schema.Void,
  Failure extends PlainSchema = typeof Schema.Never,
>(
  name: Name,
  options: SagaOptions<Payload, Success, Failure>,
) => {
  const payload = Schema.Struct(options.payload)
  const success = options.success ?? (Schema.Void as unknown as Success)
  const error = Schema.Union([IpamError, FlowCancelled, options.error ?? (Schema.Never as unknown as Failure)])
  const workflow = Workflow.make(name, { payload, success, error, idempotencyKey: options.idempotencyKey })
  // The constraint that the fields need no services cannot be said of the generic struct.
  const plain = payload as unknown as Schema.Codec<Schema.Struct.Type<Payload>, unknown>
  const operation = defineOperation({ kind: name, payload: plain, targets: options.targets, vrf: options.vrf })
  const beginningOf = (given: Schema.Struct.Type<Payload>, executionId: string) =>
    operation.beginning(operationIdOf(executionId), given, executionId)

  /** The execution that a payload asks for, once the ledger would not refuse it. */
  const asked = Effect.fnUntraced(function* (given: Schema.Struct.Type<Payload>) {
    const executionId = yield* workflow.executionId(given as never)
    const beginning = yield* beginningOf(given, executionId)
    yield* checkBeginning(beginning)
    return { executionId, beginning }
  })
  /** The execution of a payload as the ledger keeps it. */
  const executionOf = Effect.fnUntraced(function* (stored: unknown) {
    const given = yield* operation.readPayload(stored)
    const executionId = yield* workflow.executionId(given as never)
    return { executionId, beginning: yield* beginningOf(given, executionId) }
  })

  return {
    name,
    workflow,
    payload,
    success,
    error,
    /** The ids under which the engine and the ledger know the flow of this payload. */
    ids: (given: Schema.Struct.Type<Payload>) =>
      Effect.map(workflow.executionId(given as never), (executionId) => ({
        executionId,
        operationId: operationIdOf(executionId),
      })),
    /** Gives the flow its body, for the workers. A body does everything that it does in steps. */
    toLayer: <R>(
      body: (payload: Schema.Struct.Type<Payload>) => Effect.Effect<Success["Type"], (typeof error)["Type"], R>,
    ) =>
      workflow.toLayer((given, executionId) =>
        Effect.flatMap(beginningOf(given, executionId), (beginning) =>
          bracket<Success, typeof error, R>(
            { beginning, success, error, cancelled: new FlowCancelled({ operationId: beginning.operationId }) },
            body(given),
          ),
        ),
      ),
    /** Runs the flow and waits for its end; one that ran before answers as it did. `KeyReused`: with another payload. */
    execute: (given: Schema.Struct.Type<Payload>) =>
      Effect.gen(function* () {
        const { executionId, beginning } = yield* asked(given)
        const exit = yield* Effect.exit(workflow.execute(given as never))
        yield* checkPayload(beginning)
        if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) {
          return yield* new FlowCancelled({ operationId: operationIdOf(executionId) })
        }
        return yield* exit
      }),
    /**
     * Cancels the flow of a payload as the ledger keeps it, whether a worker has it or not, and answers what that did, as
     * `Operations.cancelOperation`: it unwinds from its next step on; one that was never started never will be.
     */
    cancel: (stored: unknown) =>
      Effect.gen(function* () {
        const { executionId, beginning } = yield* executionOf(stored)
        const { operationId, vrf } = beginning
        const cancelled = new FlowCancelled({ operationId })
        const answer = yield* Operations.use((operations) =>
          operations.cancelOperation({ operationId, vrf, kind: name, error: encodeCancelled(cancelled) }),
        )
        if (answer.outcome !== "operation_ended") yield* workflow.interrupt(executionId)
        return answer
      }),
    /** The same for a flow that stopped as stuck: it does again what stopped it. Answers as `Operations.resumeOperation`. */
    resume: (stored: unknown) =>
      Effect.gen(function* () {
        const { executionId, beginning } = yield* executionOf(stored)
        const { operationId, vrf } = beginning
        const answer = yield* Operations.use((operations) => operations.resumeOperation({ operationId, vrf }))
        if (answer.outcome !== "operation_ended") yield* resumeExecution(workflow, executionId)
        return answer
      }),
    /** Starts the flow and does not wait. */
    start: (given: Schema.Struct.Type<Payload>) =>
      Effect.gen(function* () {
        const { executionId, beginning } = yield* asked(given)
        yield* checkPayload(beginning)
        yield* workflow.execute(given as never, { discard: true })
        return { executionId, operationId: operationIdOf(executionId) }
      }),
  }
}

/** What the ledger would refuse is told before a worker is asked. */
const checkBeginning = decodeInput(BeginRequest)

/** A flow of the same key that began with another payload would answer for that one, without a word. */
const checkPayload = Effect.fnUntraced(function* (beginning: Beginning) {
  const operations = yield* Operations
  const known = yield* operations.getOperation({ operationId: beginning.operationId })
  if (known === null) return
  const same = isDeepStrictEqual(asJson(known), asJson(beginning))
  // The ledger decides, by its fingerprint, where the payload was pruned or looks different.
  if (!same) yield* operations.beginOperation(beginning)
})

const asJson = ({ vrf, kind, payload }: Pick<Operation, "vrf" | "kind" | "payload">): unknown =>
  JSON.parse(JSON.stringify({ vrf, kind, payload }))
