/**
 * A step of a flow: something to do, and how to undo it. It may be used in any workflow of Effect.
 *
 * Both may run more than once, and a late `do` may come after its `undo`: what they call must be idempotent by a key and refuse
 * a `do` after an `undo` of that key. `checkStep` tries a step on all of this. The allocator's calls are such.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
import * as Activity from "effect/workflow/Activity"
import type { WorkflowInstance } from "effect/workflow/WorkflowEngine"
import { factsOf, isRepeatable } from "../errors/errorFacts.ts"
import { currentRun, inWords, onFailure, pauses, suspendUntilResumed, type Engine, type Run } from "./run.ts"

/** What a step is made of. `Success` and `Failure` are stored with the flow, so they are frozen once released. */
export interface StepOptions<Success extends Schema.Top, Failure extends Schema.Top, R, R2> {
  readonly do: Effect.Effect<Success["Type"], Failure["Type"], R>
  /** Undoes whatever `do` did, may yet do, or never did. It is repeated until it succeeds, so a failure means: not yet. */
  readonly undo?: Effect.Effect<unknown, unknown, R2> | undefined
  readonly success?: Success | undefined
  readonly error?: Failure | undefined
  /** Whether `do` is repeated after this error rather than failed. Default: as `isRepeatable` says. */
  readonly repeat?: ((error: Failure["Type"]) => boolean) | undefined
  /** For how long `do` is repeated before its error counts. Default 10 minutes. */
  readonly repeatFor?: Duration.Input | undefined
}

/**
 * Does a step. Its undo is registered before anything is done, and runs when the flow fails or is cancelled later on.
 *
 * `name` must be unique in its flow and is frozen once released: a name that is used twice suspends the flow, as every defect
 * does, and so does an error that the table of errors calls `stop` or `stuck`. `saga-ipam saga resume` then does the step again.
 */
export const step = <
  R,
  R2 = never,
  Success extends Schema.Top = typeof Schema.Void,
  Failure extends Schema.Top = typeof Schema.Never,
>(
  name: string,
  options: StepOptions<Success, Failure, R, R2>,
) =>
  Effect.gen(function* () {
    const run = yield* currentRun
    if (run.names.has(name)) {
      const twice = Cause.die(new Error(`The step name ${JSON.stringify(name)} is used twice in one flow`))
      yield* run.reports.stuck(name, inWords(twice))
      return yield* suspendUntilResumed(twice)
    }
    run.names.add(name)
    // Among the arguments of `Effect.all`, an R2 without an undo to be read from would else be inferred as the `any` asked for there.
    if (options.undo !== undefined) yield* registerUndo<Types.NoInfer<R2>>(run, name, options.undo)
    return yield* Activity.make({
      name: `${name}/do`,
      success: options.success ?? (Schema.Void as unknown as Success),
      error: options.error ?? (Schema.Never as unknown as Failure),
      execute: forward(run, name, options),
    })
  })

const registerUndo = <R2>(run: Run, name: string, undo: Effect.Effect<unknown, unknown, R2>) =>
  onFailure<R2 | Engine>((exit) =>
    Effect.flatMap(run.decideToUnwind(exit), (unwinds) =>
      unwinds ? Activity.make({ name: `${name}/undo`, execute: untilUndone(run, name, undo) }) : Effect.void,
    ),
  )

/** An earlier run of the flow decided to unwind, and this step was not recorded then: it must not be done now. */
class Unwinding extends Error {
  override readonly name = "Unwinding"
}

const forward = <Success extends Schema.Top, Failure extends Schema.Top, R, R2>(
  run: Run,
  name: string,
  options: StepOptions<Success, Failure, R, R2>,
): Effect.Effect<Success["Type"], Failure["Type"], R | WorkflowInstance> => {
  const attempts = Effect.retry(options.do, {
    while: options.repeat ?? isRepeatable,
    schedule: Schedule.while(
      pauses,
      ({ elapsed }) => elapsed < Duration.toMillis(Duration.fromInputUnsafe(options.repeatFor ?? "10 minutes")),
    ),
  })
  return Effect.suspend(() => (run.refusing ? Effect.die(new Unwinding("the flow unwinds")) : attempts)).pipe(
    Effect.catchCause((cause): Effect.Effect<never, Failure["Type"], WorkflowInstance> =>
      run.refusing || !holds(cause)
        ? Effect.failCause(cause)
        : Effect.andThen(run.reports.stuck(name, inWords(cause)), suspendUntilResumed(cause)),
    ),
  )
}

/** Whether a failure must not unwind the flow by itself: a defect, or an error that waits for an operator. */
const holds = (cause: Cause.Cause<unknown>): boolean => {
  if (Cause.hasDies(cause)) return true
  const error = Cause.findErrorOption(cause)
  return Option.isSome(error) && ["stop", "stuck"].includes(factsOf(error.value).saga)
}

/** After so many failures an undo is reported as stuck; it goes on all the same. */
const TRIES_BEFORE_STUCK = 4
/** The longest pause between two tries of an undo. */
const LONGEST_PAUSE_MS = 15_000

const untilUndone = <R2>(
  run: Run,
  name: string,
  undo: Effect.Effect<unknown, unknown, R2>,
): Effect.Effect<void, never, R2 | WorkflowInstance> =>
  Effect.gen(function* () {
    for (let tries = 1; ; tries++) {
      const exit = yield* Effect.exit(undo)
      if (Exit.isSuccess(exit)) {
        if (tries > TRIES_BEFORE_STUCK) yield* run.reports.unstuck
        return
      }
      if (Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.interrupt
      if (tries >= TRIES_BEFORE_STUCK) yield* run.reports.stuck(`${name}/undo`, inWords(exit.cause))
      yield* Effect.sleep(Math.min(LONGEST_PAUSE_MS, 50 * 2 ** tries))
    }
  })
