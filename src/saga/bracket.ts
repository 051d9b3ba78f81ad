/**
 * What stands round the body of every flow with a ledger: begin, the decision to unwind, and the end.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import * as Workflow from "effect/workflow/Workflow"
import { WorkflowInstance } from "effect/workflow/WorkflowEngine"
import { errorFacts, isIpamError } from "../domain/errorFacts.ts"
import { IpamError, OperationEnded } from "../domain/errors.ts"
import { DEFAULT } from "../domain/identity.ts"
import { Ledger, type Beginning, type OperationState } from "./Ledger.ts"
import { inWords, openRun, suspendUntilResumed } from "./run.ts"

const State = Schema.Literals(["pending", "unwinding", "unwound", "succeeded"])
/** What was decided, and the error that led to it, as JSON; `null` when it was a cancellation. */
const Decision = Schema.Struct({ unwinds: Schema.Boolean, failure: Schema.NullOr(Schema.Unknown) })
type Decision = typeof Decision.Type

/** A schema that needs no services, so that whatever can read the tables can read a flow. */
export type Plain = Schema.Top & { readonly DecodingServices: never; readonly EncodingServices: never }

interface Flow<Success extends Plain, Failure extends Plain> {
  readonly beginning: Beginning
  readonly success: Success
  readonly error: Failure
  /** The error of a flow that unwinds without one of its own. */
  readonly cancelled: Failure["Type"]
}

export const bracket = <Success extends Plain, Failure extends Plain, R>(
  flow: Flow<Success, Failure>,
  body: Effect.Effect<Success["Type"], Failure["Type"], R>,
) =>
  Effect.gen(function* () {
    const ledger = yield* Ledger
    const instance = yield* WorkflowInstance
    const { operationId } = flow.beginning
    const errorJson = Schema.toCodecJson(flow.error)
    let rerun = false
    let decided: Decision | undefined

    const decide = Effect.fnUntraced(function* (exit: Exit.Exit<unknown, unknown>) {
      decided ??= yield* Activity.make({
        name: "saga/unwind",
        success: Decision,
        execute: Effect.gen(function* () {
          const failure = yield* failureOf(errorJson, exit)
          // Begun here where the flow was cancelled before it had begun: else a beginning that comes late would stay pending.
          const state = yield* insist(Effect.andThen(ledger.begin(flow.beginning), ledger.unwind(operationId)))
          return { unwinds: state !== "succeeded", failure }
        }),
      })
      return decided
    })

    const run = openRun(instance, {
      reports: {
        stuck: (step, error) =>
          Effect.logError(`Operation ${operationId} is stuck in ${step}: ${error}`).pipe(
            Effect.andThen(Effect.ignore(ledger.markStuck(operationId, step, error))),
          ),
        unstuck: insist(ledger.clearStuck(operationId)),
      },
      decideToUnwind: (exit) => Effect.map(decide(exit), ({ unwinds }) => unwinds),
    })

    yield* Workflow.addFinalizer((exit) =>
      Exit.isSuccess(exit) || rerun
        ? Effect.void
        : Effect.flatMap(decide(exit), ({ unwinds, failure }) =>
            unwinds
              ? Activity.make({
                  name: "saga/unwound",
                  execute: Effect.asVoid(insist(ledger.finish(operationId, "unwound", null, failure))),
                })
              : Effect.void,
          ),
    )

    let fresh = false
    const begun = yield* Activity.make({
      name: "saga/begin",
      success: State,
      error: IpamError,
      execute: Effect.suspend(() => {
        fresh = true
        return whileRepeatable(ledger.begin(flow.beginning))
      }),
    })
    if (isEnded(begun)) {
      rerun = true
      return yield* new OperationEnded({
        vrf: flow.beginning.vrf,
        requestId: operationId,
        slot: DEFAULT,
        status: begun,
      })
    }
    if (!fresh) {
      const known = yield* insist(ledger.get(operationId))
      run.refusing = known?.state === "unwinding" || known?.state === "unwound"
      if (known !== null && known.stuckStep !== null && !isEnded(known.state)) yield* run.reports.unstuck
    }

    const unwind = (exit: Exit.Exit<unknown, unknown>) =>
      Effect.flatMap(decide(exit), ({ failure }) =>
        failure === null
          ? Effect.fail(flow.cancelled)
          : Effect.flatMap(Effect.orDie(Schema.decodeUnknownEffect(errorJson)(failure)), Effect.fail),
      )
    const exit = yield* Effect.exit(body)
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* exit
    if (run.refusing) return yield* unwind(exit)
    if (Exit.isFailure(exit)) {
      if (!Cause.hasDies(exit.cause)) return yield* exit
      yield* run.reports.stuck("the body", inWords(exit.cause))
      return yield* suspendUntilResumed(exit.cause)
    }
    const ended = yield* Activity.make({
      name: "saga/succeeded",
      success: State,
      execute: Effect.gen(function* () {
        const result = yield* Effect.orDie(Schema.encodeEffect(Schema.toCodecJson(flow.success))(exit.value))
        return yield* insist(ledger.finish(operationId, "succeeded", result ?? null, null))
      }),
    })
    return ended === "succeeded" ? exit.value : yield* unwind(exit)
  })

const isEnded = (state: OperationState): boolean => state === "succeeded" || state === "unwound"

const pauses = Schedule.min([Schedule.exponential("50 millis", 2), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered,
)

const whileRepeatable = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.retry(call, {
    while: (error: E) => isIpamError(error) && errorFacts[error._tag].saga === "repeat",
    schedule: pauses,
  })

/** Repeats until there is an answer. Any other error than that of an outage waits for an operator. */
const insist = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.catchCause(whileRepeatable(call), (cause) =>
    Cause.hasInterruptsOnly(cause) ? Effect.interrupt : suspendUntilResumed(cause),
  )

const failureOf = Effect.fnUntraced(function* (codec: Plain, exit: Exit.Exit<unknown, unknown>) {
  if (Exit.isSuccess(exit)) return null
  const error = Cause.findErrorOption(exit.cause)
  return Option.isNone(error) ? null : yield* Effect.orDie(Schema.encodeUnknownEffect(codec)(error.value))
})
