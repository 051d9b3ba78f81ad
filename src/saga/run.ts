/**
 * One run of the body of a saga: from its top, with what was recorded answering for the steps that were done before.
 *
 * Nothing here outlives the run: what must, is in the log. Whatever ends a run without the body ending it, such as a lost lease, a
 * cancel, or a long wait, halts it: from then on no step begins, and what runs is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import { nameRule } from "../domain/identity.ts"
import type { CallError } from "../database/Database.ts"
import { factsOf, isRepeatable } from "../errors/errorFacts.ts"
import type { Operations } from "../services/Operations.ts"
import type { ClaimedSaga, RecordedStep, SagaWrite, Settled } from "../contract/sagaCalls.ts"
import type { LeaseLost, SagaKeys, SagaLog } from "./SagaLog.ts"
import { cleanJson, cleanText, whyNotStorable } from "./storable.ts"

/** What `do` and `undo` of a step are given. */
export interface StepContext {
  /** The operation and the name of the step: the same for every attempt at it, and for its undo, forever. */
  readonly key: string
  /** Grows with every claim of the saga and with every decision to undo: a target refuses what comes with a smaller one. */
  readonly fence: bigint
  /** Aborted when the attempt is interrupted: its saga is cancelled, or another worker has it. */
  readonly signal: AbortSignal
}

/** Why a run halts before its body has ended. */
export type Halt =
  | { readonly _tag: "LeaseLost" }
  /** It waits for a time: at most so long, where that is not in the log. */
  | { readonly _tag: "Parked"; readonly retrySeconds?: number | undefined }
  /** It cannot continue by itself. */
  | { readonly _tag: "Stuck"; readonly step: string; readonly error: string }
  /** It unwinds, whatever its body would say: with an error, or, where it was cancelled, with `null`. */
  | { readonly _tag: "Unwinds"; readonly failure: Schema.Json | null }
  /** It was run to learn the undo of each step, and all of them are known. */
  | { readonly _tag: "Replayed" }

type Undo = (context: StepContext) => Effect.Effect<unknown, unknown>

/** A step with its values as JSON. */
export interface StepSpec<A, E> {
  readonly name: string
  readonly do: (context: StepContext) => Effect.Effect<A, E>
  readonly undo: Undo | undefined
  readonly result: Coding<A>
  readonly error: Coding<E>
  readonly repeat: (error: E) => boolean
  readonly repeatFor: Duration.Input
}

interface Coding<A> {
  readonly encode: (value: A) => Effect.Effect<Schema.Json>
  readonly decode: (json: unknown) => Effect.Effect<A>
}

/** The step whose `do` or `undo` runs in this fiber. */
const Within = Context.Reference<string | undefined>("saga-ipam/saga/Within", { defaultValue: () => undefined })

/** Why a step cannot be within another one. */
export const withinText = (name: string, outer: string): string =>
  `the step ${name} is within the step ${outer}, and would not be asked for when that one is recorded`

/** Between two attempts at a call that may be repeated. */
export const pauses = Schedule.min([Schedule.exponential("50 millis", 2), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered,
)

/** After so many failures an undo is reported as stuck; it goes on all the same. */
const ATTEMPTS_BEFORE_STUCK = 4
/** The longest pause between two attempts at an undo. */
const LONGEST_PAUSE_MS = 15_000

/** One line on what went wrong, for the log. */
export const inWords = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return cleanText(error instanceof Error ? `${error.name}: ${error.message}` : String(error))
}

/**
 * Repeats a write of the log until it is answered, through any outage. What no repetition heals is logged and repeated as well, until
 * someone has repaired it; only a request that the database refuses as invalid is a defect.
 */
export const persist = <A>(write: Effect.Effect<A, CallError | LeaseLost>): Effect.Effect<A, LeaseLost> =>
  write.pipe(
    Effect.catchTag("InvalidInput", Effect.die),
    Effect.tapError((error) =>
      error._tag === "LeaseLost" || isRepeatable(error)
        ? Effect.void
        : Effect.logError("The saga log cannot be written; it is tried again", error),
    ),
    Effect.retry({ while: ({ _tag }) => _tag !== "LeaseLost", schedule: pauses }),
    Effect.catch((error) => (error._tag === "LeaseLost" ? Effect.fail(error) : Effect.die(error))),
  )

const monotonicSeconds = Clock.clockWith((clock) => Effect.succeed(Number(clock.monotonicTimeNanosUnsafe()) / 1e9))

export const openRun = (
  log: SagaLog,
  operations: Operations["Service"],
  claimed: ClaimedSaga,
  /** What `saga_keys` answered: what was allocated before this run. */
  keys: SagaKeys,
) => {
  const { operationId, vrf } = claimed
  const recorded = new Map(claimed.steps.map((step) => [step.name, step]))
  const unwinds = claimed.state !== "pending"
  const needed = claimed.steps.filter(({ undo, state }) => undo && state !== "undone").map(({ name }) => name)
  const asked = new Set<string>()
  const undos = new Map<string, Undo>()
  const halting = Deferred.makeUnsafe<Halt>()
  let settled: Array<Settled> = []
  let { fence } = claimed
  let isStuck = claimed.stuckStep !== null
  let active = 0
  /** The steps whose `do` runs. */
  const performing = new Set<string>()
  let waking = Deferred.makeUnsafe<void>()

  const isHalted = () => Deferred.isDoneUnsafe(halting)
  const haltUnsafe = (why: Halt) => {
    Deferred.doneUnsafe(halting, Effect.succeed(why))
  }
  const halt = (why: Halt) => Effect.sync(() => haltUnsafe(why))
  /** Halts the run; the step that asks for it never answers. */
  const stop = (why: Halt): Effect.Effect<never> => Effect.andThen(halt(why), Effect.interrupt)
  const stuck = (step: string, error: string) => stop({ _tag: "Stuck", step, error: cleanText(error) })

  /** Sends what has settled with a write; it is sent again with the next one where this one is not known to be recorded. */
  const withSettled = <A>(call: (settled: ReadonlyArray<Settled>) => Effect.Effect<A, CallError | LeaseLost>) =>
    Effect.suspend(() => {
      const sent = settled
      settled = []
      return Effect.onExit(persist(call(sent)), (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) settled = [...sent, ...settled]
        }),
      )
    })

  const learn = (write: SagaWrite) => {
    if (write.fence > fence) fence = write.fence
    return write
  }

  /** A write of a run that goes forward: halts it where the lease is lost or the saga was cancelled. */
  const write = (call: (settled: ReadonlyArray<Settled>) => Effect.Effect<SagaWrite, CallError | LeaseLost>) =>
    withSettled(call).pipe(
      Effect.catchTag("LeaseLost", () => stop({ _tag: "LeaseLost" })),
      Effect.map(learn),
      Effect.tap(({ state }) => (state === "pending" ? clearStuck : stop({ _tag: "Unwinds", failure: null }))),
    )

  /** The saga has gone on: the mark of being stuck goes. */
  const clearStuck = Effect.suspend(() => {
    if (!isStuck) return Effect.void
    isStuck = false
    return Effect.ignore(operations.clearStuck({ operationId, vrf }))
  })

  const contextOf = (name: string, signal: AbortSignal): StepContext => ({
    key: `${operationId}/${name}`,
    fence,
    signal,
  })

  const attemptAt = <A, E>(name: string, work: (context: StepContext) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.scoped(
      Effect.flatMap(Effect.abortSignal, (signal) =>
        Effect.provideService(work(contextOf(name, signal)), Within, name),
      ),
    )

  /** Shows that an attempt failed. Where that cannot be written now, the next write will tell what there is to know. */
  const report = (name: string, cause: Cause.Cause<unknown>): Effect.Effect<void, LeaseLost> =>
    log.report(claimed, name, inWords(cause)).pipe(
      Effect.map(learn),
      Effect.catch((error) => (error._tag === "LeaseLost" ? Effect.fail(error) : Effect.void)),
    )

  /** Repeats an undo until it succeeds. */
  const untilUndone = (name: string, undo: Undo): Effect.Effect<void, LeaseLost> =>
    Effect.gen(function* () {
      for (let attempts = 1; ; attempts++) {
        const exit = yield* Effect.exit(attemptAt(name, undo))
        if (Exit.isSuccess(exit)) break
        yield* report(name, exit.cause)
        if (attempts >= ATTEMPTS_BEFORE_STUCK) {
          isStuck = true
          const error = inWords(exit.cause)
          yield* Effect.logError(`Operation ${operationId}: the undo of ${name} is repeated: ${error}`)
          yield* Effect.ignore(operations.markStuck({ operationId, vrf, step: `${name}/undo`, error }))
        }
        const pause = Effect.sleep(Math.min(LONGEST_PAUSE_MS, 50 * 2 ** attempts))
        yield* Effect.raceFirst(pause, Deferred.await(waking))
      }
      if (isStuck) yield* clearStuck
    })

  /** Undoes one step of a run that goes forward, which no other part of it waits for: its `do` failed or was interrupted. */
  const undoNow = (name: string, undo: Undo, error?: Schema.Json) =>
    Effect.gen(function* () {
      settled.push(error === undefined ? { name, state: "undoing" } : { name, state: "undoing", error })
      yield* write((sent) => log.advance(claimed, sent))
      yield* finishUndo(name, undo)
    })

  const finishUndo = (name: string, undo: Undo) =>
    Effect.gen(function* () {
      const undone = Effect.catchTag(untilUndone(name, undo), "LeaseLost", () => halt({ _tag: "LeaseLost" }))
      // Also where the body interrupts the step, which waits for this.
      yield* Effect.raceFirst(Effect.interruptible(undone), Deferred.await(halting))
      if (isHalted()) return yield* Effect.interrupt
      settled.push({ name, state: "undone" })
    })

  const perform = <A, E>(spec: StepSpec<A, E>): Effect.Effect<A, E> =>
    Effect.gen(function* () {
      const { name } = spec
      const attempt: Effect.Effect<A, E> = Effect.tapCause(attemptAt(name, spec.do), (cause) => {
        const error = Cause.findErrorOption(cause)
        return Option.isSome(error) && spec.repeat(error.value)
          ? Effect.catchTag(report(name, cause), "LeaseLost", () => stop({ _tag: "LeaseLost" }))
          : Effect.void
      })
      const schedule = Schedule.upTo(pauses, { duration: spec.repeatFor })
      performing.add(name)
      const exit = yield* Effect.retry(attempt, { while: (error: E) => spec.repeat(error), schedule }).pipe(
        Effect.ensuring(Effect.sync(() => performing.delete(name))),
        Effect.exit,
      )
      if (isHalted()) return yield* Effect.interrupt
      if (Exit.isSuccess(exit)) {
        const result = yield* Effect.exit(Effect.flatMap(spec.result.encode(exit.value), storable))
        if (Exit.isFailure(result)) return yield* stuck(name, `its result cannot be stored: ${inWords(result.cause)}`)
        settled.push({ name, state: "done", result: result.value })
        return exit.value
      }
      const error = Cause.findErrorOption(exit.cause)
      if (Option.isNone(error) || Cause.hasDies(exit.cause) || waitsForPeople(error.value)) {
        return yield* stuck(name, inWords(exit.cause))
      }
      const encoded = yield* Effect.exit(
        Effect.flatMap(Effect.map(spec.error.encode(error.value), cleanJson), storable),
      )
      if (Exit.isFailure(encoded)) return yield* stuck(name, `its error cannot be stored: ${inWords(encoded.cause)}`)
      if (spec.undo === undefined) settled.push({ name, state: "failed", error: encoded.value })
      else yield* undoNow(name, spec.undo, encoded.value)
      return yield* Effect.fail(error.value)
    })

  /**
   * What the body interrupted may have been done: it is undone before the interruption is answered. It is begun once more, since nobody
   * knows whether the first write was: else a later run would do it after its undo.
   */
  const abandon = <A, E>({ name, undo }: StepSpec<A, E>) =>
    Effect.suspend(() =>
      isHalted() || undo === undefined ? Effect.void : Effect.andThen(begin(name, true), undoNow(name, undo)),
    )

  const replay = <A, E>(spec: StepSpec<A, E>, step: RecordedStep): Effect.Effect<A, E> => {
    const { name, undo } = spec
    const fail = Effect.flatMap(spec.error.decode(step.error), Effect.fail)
    if (step.settled) {
      if (step.error === null) return spec.result.decode(step.result)
      return step.state === "undoing" && undo !== undefined && !unwinds
        ? Effect.andThen(finishUndo(name, undo), fail)
        : fail
    }
    if (unwinds || step.state === "undone") return Effect.never
    if (step.state === "undoing" && undo !== undefined) return Effect.andThen(finishUndo(name, undo), Effect.never)
    return Effect.onInterrupt(perform(spec), () => abandon(spec))
  }

  const begin = (name: string, undo: boolean, seconds?: number) =>
    write((sent) => log.advance(claimed, sent, { next: name, nextUndo: undo, nextSeconds: seconds }))

  /** Counts what is at work, so that a run is put back only when every branch of it waits. */
  const working = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      if (isHalted()) return Effect.interrupt
      active += 1
      return Effect.ensuring(
        work,
        Effect.sync(() => {
          active -= 1
        }),
      )
    })

  /** Registers a name, once; the last one that unwinding needs ends the replay. */
  const ask = (name: string, undo?: Undo) =>
    Effect.flatMap(Within, (outer): Effect.Effect<void> => {
      const wrong = nameRule(name)
      if (wrong !== undefined) return stuck("the name of a step", wrong)
      if (outer !== undefined) return stuck(name, withinText(name, outer))
      if (asked.has(name)) return stuck(name, "the name is used twice in one saga")
      asked.add(name)
      if (undo !== undefined) undos.set(name, undo)
      return unwinds && needed.length > 0 && needed.every((one) => undos.has(one))
        ? stop({ _tag: "Replayed" })
        : Effect.void
    })

  /** Waits so long, in memory while another branch of the saga works, and else by putting the run back. */
  const waitFor = (seconds: number, retrySeconds?: number) =>
    Effect.gen(function* () {
      const until = (yield* monotonicSeconds) + seconds
      for (let pauseMs = 10; ; pauseMs = Math.min(1000, 2 * pauseMs)) {
        const leftMs = (until - (yield* monotonicSeconds)) * 1000
        if (leftMs <= 0) return
        yield* Effect.sleep(Math.min(pauseMs, leftMs))
        if (active === 0) return yield* stop({ _tag: "Parked", retrySeconds })
      }
    }).pipe((waiting) =>
      Effect.suspend(() => {
        active -= 1
        return Effect.ensuring(
          waiting,
          Effect.sync(() => {
            active += 1
          }),
        )
      }),
    )

  return {
    operationId,
    vrf,
    log,
    claim: claimed,
    keys,
    recorded,
    /** Whether the run only replays: its saga unwinds. */
    unwinds,
    /** The names of steps that the body has asked for. */
    asked,
    undos,
    performing,
    halting: Deferred.await(halting),
    isHalted,
    halt,
    haltUnsafe,
    stop,
    stuck,
    ask,
    working,
    waitFor,
    write,
    withSettled,
    untilUndone,
    settle: (step: Settled) => {
      settled.push(step)
    },
    hasSettled: () => settled.length > 0,
    begin,
    learnFence: (known: bigint) => {
      if (known > fence) fence = known
    },
    /** A person has resumed the saga: an undo that pauses is attempted at once. */
    wake: Effect.suspend(() => {
      const woken = waking
      waking = Deferred.makeUnsafe()
      return Deferred.succeed(woken, undefined)
    }),
    step: <A, E>(spec: StepSpec<A, E>): Effect.Effect<A, E> =>
      working(
        Effect.andThen(
          ask(spec.name, spec.undo),
          Effect.suspend(() => {
            const step = recorded.get(spec.name)
            if (step !== undefined) return replay(spec, step)
            if (unwinds) return Effect.never
            return Effect.onInterrupt(Effect.andThen(begin(spec.name, spec.undo !== undefined), perform(spec)), () =>
              abandon(spec),
            )
          }),
        ),
      ),
  }
}

export type Run = ReturnType<typeof openRun>

/** The run of the body that asks. */
export class CurrentRun extends Context.Service<CurrentRun, Run>()("saga-ipam/saga/CurrentRun") {}

/** The operation of the saga whose body asks, and its home. */
export const currentRun: Effect.Effect<{ readonly operationId: string; readonly vrf: string }, never, CurrentRun> =
  Effect.map(CurrentRun, ({ operationId, vrf }) => ({ operationId, vrf }))

/** Whether an error must not unwind a saga by itself: a person has to repair something first. */
export const waitsForPeople = (error: unknown): boolean => ["stop", "stuck"].includes(factsOf(error).saga)

/** Dies where the log cannot keep the value. */
export const storable = (value: Schema.Json): Effect.Effect<Schema.Json> =>
  Effect.suspend(() => {
    const problem = whyNotStorable(value)
    return problem === undefined ? Effect.succeed(value) : Effect.die(new Error(`it ${problem}`))
  })
