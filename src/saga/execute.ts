/**
 * What a worker does with a saga that it has claimed: it runs the body, and ends the saga as succeeded, or as unwound once every step is
 * undone; or it puts it back.
 *
 * Which of the two ends it will be is decided in the log before anything is undone.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { AllocationsLost } from "../errors/errors.ts"
import type { Operations } from "../services/Operations.ts"
import { CurrentRun, inWords, openRun, persist, storable, waitsForPeople, type Run } from "./run.ts"
import type { ClaimedSaga } from "../contract/sagaCalls.ts"
import type { LeaseLost, SagaLog } from "./SagaLog.ts"
import { cleanJson, cleanText } from "./storable.ts"
import type { Operation } from "../contract/operation.ts"

/** A saga as a worker runs it: payload, result and error as JSON. */
export interface Runnable {
  readonly name: string
  readonly version: number
  /** Whether runs that another version began go on with this one. */
  readonly anyVersion: boolean
  readonly body: (payload: unknown) => Effect.Effect<unknown, unknown, CurrentRun>
  readonly encodeResult: (value: unknown) => Effect.Effect<Schema.Json>
  readonly encodeError: (error: unknown) => Effect.Effect<Schema.Json>
  /** The error of a saga that was cancelled. */
  readonly cancelled: (operationId: string) => Schema.Json
}

/** How soon a saga that waits its turn, or whose worker met with a defect of its own, is attempted again. */
const AGAIN_SECONDS = 1
/** How long what was interrupted may take to end before it is shown as stuck. */
const IGNORED_AFTER = "5 seconds"

const encodeLost = Schema.encodeEffect(Schema.toCodecJson(AllocationsLost))

/** A run that its worker can wake, cancel, or stop. */
export interface Execution {
  /** The run of the body, while there is one. */
  readonly current: () => Run | undefined
  /** Ends once the saga has ended, with its operation, or is no longer this worker's, with nothing. */
  readonly done: Effect.Effect<Operation | undefined, LeaseLost>
}

export const makeExecution = (
  log: SagaLog,
  operations: Operations["Service"],
  saga: Runnable,
  claimed: ClaimedSaga,
): Execution => {
  let current: Run | undefined

  const open = (known: ClaimedSaga) =>
    Effect.gen(function* () {
      const keys = known.hasKeys ? yield* persist(log.keys(known.operationId)) : []
      current = openRun(log, operations, known, keys)
      return current
    })

  /** Runs the body until it ends or the run halts; nothing of it runs any more when this answers. */
  const runBody = (run: Run) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.provideService(saga.body(run.claim.payload), CurrentRun, run))
      const first = yield* Effect.raceFirst(
        Effect.map(Fiber.await(fiber), (exit) => ({ _tag: "Ended" as const, exit })),
        run.halting,
      )
      if (!run.isHalted()) return first
      // From here on the body begins nothing more, whatever it does when it is interrupted.
      yield* Effect.raceFirst(Fiber.interrupt(fiber), showIgnorance(run))
      return yield* run.halting
    })

  /** A step that ignores its interruption is waited for, since nothing may be undone beside it, and is shown. */
  const showIgnorance = ({ operationId, vrf, performing }: Run) =>
    Effect.gen(function* () {
      yield* Effect.sleep(IGNORED_AFTER)
      const stuck = {
        step: [...performing].join(", ").slice(0, 200) || "the body",
        error: "ignores that it was interrupted",
      }
      yield* Effect.ignore(operations.markStuck({ operationId, vrf, ...stuck }))
      return yield* Effect.never
    })

  const park = (run: Run, why: Parameters<SagaLog["park"]>[2]) =>
    Effect.as(
      run.withSettled((settled) => log.park(run.claim, settled, why)),
      undefined,
    )

  const stuck = (run: Run, step: string, error: string) =>
    Effect.andThen(
      Effect.logError(`Operation ${run.operationId} is stuck in ${step}: ${error}`),
      park(run, { stuckStep: step.slice(0, 200), stuckError: cleanText(error) }),
    )

  /** What was recorded and is not asked for any more: the body changed under a running saga, or does not do the same each time. */
  const notAskedFor = (run: Run): ReadonlyArray<string> => {
    const slots = run.keys.map(({ allocation }) => allocation.slot).filter((slot) => slot.includes("/"))
    const steps = slots.map((slot) => slot.slice(0, slot.lastIndexOf("/")))
    return [...new Set([...run.recorded.keys(), ...steps])].filter((name) => !run.asked.has(name))
  }

  const succeed = (run: Run, value: unknown) =>
    Effect.gen(function* () {
      const missing = notAskedFor(run)
      if (missing.length > 0) {
        return yield* stuck(run, "the end", `this version does not ask for what was recorded: ${missing.join(", ")}`)
      }
      const encoded = yield* Effect.exit(Effect.flatMap(saga.encodeResult(value), storable))
      if (Exit.isFailure(encoded)) {
        return yield* stuck(run, "the end", `its result cannot be stored: ${inWords(encoded.cause)}`)
      }
      const end = { state: "succeeded", result: encoded.value } as const
      const ended = yield* run.withSettled((settled) => log.finish(run.claim, settled, end))
      if (ended === "unwinds") return yield* unwind(run, null)
      return ended instanceof AllocationsLost ? yield* unwind(run, yield* Effect.orDie(encodeLost(ended))) : ended
    })

  const fail = (run: Run, cause: Cause.Cause<unknown>) =>
    Effect.gen(function* () {
      const error = Cause.findErrorOption(cause)
      if (Option.isNone(error) || Cause.hasDies(cause) || waitsForPeople(error.value)) {
        return yield* stuck(run, "the body", inWords(cause))
      }
      const encoded = yield* Effect.exit(Effect.flatMap(Effect.map(saga.encodeError(error.value), cleanJson), storable))
      return Exit.isSuccess(encoded)
        ? yield* unwind(run, encoded.value)
        : yield* stuck(run, "the body", `its error cannot be stored: ${inWords(encoded.cause)}`)
    })

  const unwind = (run: Run, failure: Schema.Json | null): Effect.Effect<Operation | undefined, LeaseLost> =>
    Effect.gen(function* () {
      const decided = yield* run.withSettled((settled) => log.unwind(run.claim, settled, { failure }))
      run.learnFence(decided.fence)
      const left = decided.steps.filter(({ state }) => state === "undoing").map(({ name }) => name)
      const known = left.every((name) => run.undos.has(name)) ? run : yield* replay(decided)
      if (known === undefined) return undefined
      for (const name of left.toReversed()) {
        const undo = known.undos.get(name)
        if (undo === undefined) {
          return yield* stuck(known, `${name}/undo`, "this version does not ask for a step that was begun")
        }
        if (known.hasSettled()) yield* known.withSettled((settled) => log.advance(known.claim, settled))
        yield* known.untilUndone(name, undo)
        known.settle({ name, state: "undone" })
      }
      const error = (decided.failure as Schema.Json | null) ?? saga.cancelled(known.operationId)
      const ended = yield* known.withSettled((settled) => log.finish(known.claim, settled, { state: "unwound", error }))
      if (ended === "unwinds" || ended instanceof AllocationsLost) {
        return yield* Effect.die(new Error("The end of what unwinds was answered as one of what succeeds"))
      }
      return ended
    })

  /** Runs the body to learn the undo of each step that is not undone: what was recorded answers, and nothing is done. */
  const replay = (decided: ClaimedSaga) =>
    Effect.gen(function* () {
      const run = yield* open(decided)
      const patience = Effect.as(Effect.sleep("30 seconds"), { _tag: "Impatient" as const })
      yield* Effect.raceFirst(runBody(run), patience)
      return run
    })

  const proceed = (run: Run): Effect.Effect<Operation | undefined, LeaseLost> =>
    Effect.gen(function* () {
      const ended = yield* runBody(run)
      switch (ended._tag) {
        case "Ended":
          return Exit.isSuccess(ended.exit) ? yield* succeed(run, ended.exit.value) : yield* fail(run, ended.exit.cause)
        case "LeaseLost":
          return undefined
        case "Parked":
          return yield* park(run, { retrySeconds: ended.retrySeconds })
        case "Stuck":
          return yield* stuck(run, ended.step, ended.error)
        case "Unwinds":
          return yield* unwind(run, ended.failure)
        case "Replayed":
          return yield* Effect.die(new Error("a run that goes forward was replayed"))
      }
    })

  const done = Effect.gen(function* () {
    const run = yield* open(claimed)
    if (claimed.state !== "pending") return yield* unwind(run, null)
    return claimed.mustWait ? yield* park(run, { retrySeconds: AGAIN_SECONDS }) : yield* proceed(run)
  })

  return { current: () => current, done }
}
