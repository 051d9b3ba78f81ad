/**
 * What stands round the body of every flow with a ledger: begin, the decision to unwind, and the end.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import { WorkflowInstance } from "effect/workflow/WorkflowEngine"
import { factsOf, isRepeatable } from "../errors/errorFacts.ts"
import { AllocationsLost, IpamError, OperationEnded } from "../errors/errors.ts"
import { OperationState, type Operation } from "../contract/operation.ts"
import type { Beginning, PlainSchema } from "../services/defineOperation.ts"
import { Operations } from "../services/Operations.ts"
import { inWords, onFailure, openRun, pauses, suspendUntilResumed } from "./run.ts"

/** What was decided, and the error that led to it, as JSON; `null` when it was a cancellation. */
const Decision = Schema.Struct({ unwinds: Schema.Boolean, failure: Schema.NullOr(Schema.Unknown) })
type Decision = typeof Decision.Type

interface Flow<Success extends PlainSchema, Failure extends PlainSchema> {
  readonly beginning: Beginning
  readonly success: Success
  readonly error: Failure
  /** The error of a flow that unwinds without one of its own. */
  readonly cancelled: Failure["Type"]
}

export const bracket = <Success extends PlainSchema, Failure extends PlainSchema, R>(
  flow: Flow<Success, Failure>,
  body: Effect.Effect<Success["Type"], Failure["Type"], R>,
) =>
  Effect.gen(function* () {
    const operations = yield* Operations
    const instance = yield* WorkflowInstance
    const { operationId, vrf } = flow.beginning
    const operation = { operationId, vrf }
    const errorJson = Schema.toCodecJson(flow.error)
    /** The operation has ended before this run, or could not begin. */
    let nothingToUndo = false
    let decided: Decision | undefined

    const decide = Effect.fnUntraced(function* (exit: Exit.Exit<unknown, unknown>) {
      decided ??= yield* Activity.make({
        name: "saga/unwind",
        success: Decision,
        execute: Effect.gen(function* () {
          // Begun here where the flow was cancelled before it had begun: else a beginning that comes late would stay pending.
          const { state, cancelledAt } = yield* insist(
            Effect.andThen(operations.beginOperation(flow.beginning), operations.unwindOperation(operation)),
          )
          // A cancel is in the ledger before the engine hears of it: what the ledger refused since is no error of the flow's own.
          const failure = cancelledAt !== null && isRefusal(exit) ? null : yield* failureOf(errorJson, exit)
          return { unwinds: state !== "succeeded", failure }
        }),
      })
      return decided
    })

    const run = openRun(instance, {
      reports: {
        stuck: (step, error) =>
          Effect.logError(`Operation ${operationId} is stuck in ${step}: ${error}`).pipe(
            Effect.andThen(Effect.ignore(operations.markStuck({ ...operation, step, error }))),
          ),
        unstuck: Effect.asVoid(insist(stateOf(operations.clearStuck(operation)))),
      },
      decideToUnwind: (exit) => Effect.map(decide(exit), ({ unwinds }) => unwinds),
    })

    yield* onFailure((exit) =>
      nothingToUndo
        ? Effect.void
        : Effect.flatMap(decide(exit), ({ unwinds, failure }) =>
            unwinds
              ? Activity.make({
                  name: "saga/unwound",
                  execute: Effect.gen(function* () {
                    const error =
                      failure ?? (yield* Effect.orDie(Schema.encodeUnknownEffect(errorJson)(flow.cancelled)))
                    yield* insist(
                      stateOf(
                        operations.finishOperation({ ...operation, state: "unwound", error: error as Schema.Json }),
                      ),
                    )
                  }),
                })
              : Effect.void,
          ),
    )

    let fresh = false
    const begun = yield* Activity.make({
      name: "saga/begin",
      success: OperationState,
      error: IpamError,
      execute: Effect.suspend(() => {
        fresh = true
        return whileRepeatable(stateOf(operations.beginOperation(flow.beginning)))
      }),
    }).pipe(
      Effect.tapError((error) =>
        Effect.sync(() => {
          nothingToUndo = factsOf(error).saga === "unwind"
        }),
      ),
    )
    if (isEnded(begun)) {
      nothingToUndo = true
      return yield* new OperationEnded({
        vrf: flow.beginning.vrf,
        requestId: operationId,
        status: begun,
      })
    }
    run.refusing = begun === "unwinding"
    if (!fresh) {
      const known = yield* insist(operations.getOperation({ operationId }))
      run.refusing = known?.state === "unwinding" || known?.state === "unwound"
      if (known !== null && known.stuck !== null && !isEnded(known.state)) yield* run.reports.unstuck
    }

    const unwind = (exit: Exit.Exit<unknown, unknown>) =>
      Effect.flatMap(decide(exit), ({ failure }) =>
        failure === null
          ? Effect.fail(flow.cancelled)
          : Effect.flatMap(Effect.orDie(Schema.decodeUnknownEffect(errorJson)(failure)), Effect.fail),
      )
    const exit = yield* Effect.exit(body)
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* exit
    if (run.refusing || isRefusal(exit)) return yield* unwind(exit)
    if (Exit.isFailure(exit)) {
      if (!Cause.hasDies(exit.cause)) return yield* exit
      yield* run.reports.stuck("the body", inWords(exit.cause))
      return yield* suspendUntilResumed(exit.cause)
    }
    const ended = yield* Activity.make({
      name: "saga/succeeded",
      success: OperationState,
      error: AllocationsLost,
      execute: Effect.gen(function* () {
        const result = yield* Effect.orDie(Schema.encodeEffect(Schema.toCodecJson(flow.success))(exit.value))
        const finished = stateOf(operations.finishOperation({ ...operation, state: "succeeded", result }))
        const answer = yield* insist(Effect.catchTag(finished, "AllocationsLost", Effect.succeed))
        return yield* answer instanceof AllocationsLost ? Effect.fail(answer) : Effect.succeed(answer)
      }),
    })
    return ended === "succeeded" ? exit.value : yield* unwind(exit)
  })

/** How far an operation is after a call: another state than asked for when it was decided otherwise before. */
const stateOf = <E, R>(call: Effect.Effect<Operation, E | OperationEnded, R>) =>
  Effect.map(call, ({ state }) => state).pipe(
    Effect.catchIf(
      (error): error is OperationEnded => error instanceof OperationEnded,
      ({ status }) => Effect.succeed(status as OperationState),
    ),
  ) as Effect.Effect<OperationState, Exclude<E, OperationEnded>, R>

const isEnded = (state: OperationState): boolean => state === "succeeded" || state === "unwound"

const whileRepeatable = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.retry(call, { while: isRepeatable, schedule: pauses })

/** Repeats until there is an answer. Any other error than that of an outage waits for an operator. */
const insist = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.catchCause(whileRepeatable(call), (cause) =>
    Cause.hasInterruptsOnly(cause) ? Effect.interrupt : suspendUntilResumed(cause),
  )

/** Whether a flow failed since the ledger allocates nothing more under its operation. */
const isRefusal = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Option.exists(Cause.findErrorOption(exit.cause), (error) => error instanceof OperationEnded)

const failureOf = Effect.fnUntraced(function* (codec: PlainSchema, exit: Exit.Exit<unknown, unknown>) {
  if (Exit.isSuccess(exit)) return null
  const error = Cause.findErrorOption(exit.cause)
  return Option.isNone(error) ? null : yield* Effect.orDie(Schema.encodeUnknownEffect(codec)(error.value))
})
