/**
 * Tries a step on everything that a durable engine can do to it, and says in words what broke. For tests of one's own steps.
 *
 * ```ts
 * const broken = yield* checkStep({
 *   do: (key) => mailboxes.open(key, { size: 100 }),
 *   undo: (key) => mailboxes.close(key),
 *   observe: (key) => Effect.map(mailboxes.find(key), (found) => ({ open: found?.state === "open" })),
 * })
 * expect(broken).toEqual([])
 * ```
 *
 * Every trial has a key of its own; some thirty are done at the same time. What a broken step leaves behind stays: use a place
 * that may be thrown away. A killed process is tried as a fiber that stands still, an interrupted one as a fiber that is
 * interrupted. What a server does later on with a call whose caller has gone is looked at after twice the time of a plain `do`.
 */
import { randomUUID } from "node:crypto"
import { isDeepStrictEqual } from "node:util"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { must, same, startTrials, words } from "./trials.ts"
import { momentsOf, whileUnderWay, type Moment } from "./interleavingPoints.ts"

/** A step as `step` takes it, but of a key: a fresh UUIDv4 for each trial, which stands for the id of an operation. */
export interface StepUnderTest<R, R2, R3> {
  /** Its answer must be the same each time: leave out what is not, such as whether it was a replay. With its repeats, if it has any. */
  readonly do: (key: string) => Effect.Effect<unknown, unknown, R>
  readonly undo: (key: string) => Effect.Effect<unknown, unknown, R2>
  /**
   * What the outside world has of the key, as a plain value: only what counts (what is held, not the tombstone of what was), and
   * in terms that are the same for every key (how many addresses, not which).
   */
  readonly observe: (key: string) => Effect.Effect<unknown, unknown, R3>
  /** A trial that takes longer hangs. Default 10 seconds. */
  readonly hangsAfter?: Duration.Input | undefined
}

/** How long another call gets while a `do` stands still, in milliseconds: it may well wait for what that one holds. */
const PATIENCE_MS = 50
/** How long is waited at least for what comes late, in milliseconds; otherwise for twice as long as a plain `do` takes. */
const LATE_MS = 20
/** As an engine does, an undo is repeated: here every 25 milliseconds. */
const repeated = { times: 20, schedule: Schedule.spaced("25 millis") }

/**
 * The sentences that say what broke, one for each kind of trial at most; none: the step is sound as far as was tried.
 *
 * Tried are: done twice, undone twice, undone before done, undone without done, done and undone beside another key; at moments
 * spread over the `do`: its undo, or a second executor, comes then, it is killed, it is interrupted and done again, or undone.
 * A step whose plain `do` and `undo` break is tried on nothing else. Takes from some milliseconds to some seconds.
 */
export const checkStep = <R, R2, R3>(
  step: StepUnderTest<R, R2, R3>,
): Effect.Effect<ReadonlyArray<string>, never, R | R2 | R3> =>
  Effect.gen(function* () {
    const { broken, tried, triedAt } = startTrials(Duration.fromInputUnsafe(step.hangsAfter ?? "10 seconds"))
    const doIt = (key: string) => must(step.do(key), "failed")
    const undo = (key: string) => must(step.undo(key), "could not be undone")
    const undoAtLast = (key: string) => must(Effect.retry(step.undo(key), repeated), "could not be undone")
    const observe = (key: string) => must(step.observe(key), "could not be observed")
    const leaves = (key: string, expected: unknown) =>
      Effect.flatMap(observe(key), (seen) => same("left", seen, expected))

    const first = yield* tried("done and undone, the step", (key) =>
      Effect.gen(function* () {
        const untouched = yield* observe(key)
        yield* doIt(key)
        const done = yield* observe(key)
        if (isDeepStrictEqual(done, untouched)) yield* Effect.fail(`left nothing to observe but ${words(done)}`)
        yield* undo(key)
        yield* leaves(key, untouched)
        return { untouched, done }
      }),
    )
    if (Exit.isFailure(first)) return broken
    const { untouched, done } = first.value
    const second = yield* tried("done and undone under another key, the step", (key) =>
      Effect.gen(function* () {
        const began = performance.now()
        const doing = yield* momentsOf(doIt(key))
        const tookMs = performance.now() - began
        yield* leaves(key, done)
        const undoing = yield* momentsOf(undo(key))
        yield* leaves(key, untouched)
        return { doing, undoing, afterMs: Math.max(LATE_MS, 2 * tookMs) }
      }),
    )
    if (Exit.isFailure(second)) return broken
    const { doing, undoing, afterMs } = second.value

    const undone = (key: string) => Effect.andThen(undo(key), leaves(key, untouched))
    yield* tried("done twice, the step", (key) =>
      Effect.gen(function* () {
        const answer = yield* doIt(key)
        yield* same("answered", yield* doIt(key), answer)
        yield* leaves(key, done)
        yield* undone(key)
      }),
    )
    yield* tried("undone once already, the step", (key) =>
      Effect.andThen(doIt(key), Effect.andThen(undo(key), undone(key))),
    )
    yield* tried("never done, the step", undone)
    for (const before of [undo, (key: string) => Effect.andThen(doIt(key), undo(key))]) {
      const trial = yield* tried("a do that came after its undo", (key) =>
        Effect.gen(function* () {
          yield* before(key)
          yield* Effect.exit(step.do(key))
          yield* leaves(key, untouched)
          yield* undone(key)
        }),
      )
      if (Exit.isFailure(trial)) break
    }
    yield* tried("done beside another key that was undone then, the step", (key) =>
      Effect.gen(function* () {
        const other = randomUUID()
        yield* doIt(other)
        yield* doIt(key)
        yield* undone(other)
        yield* leaves(key, done)
        yield* undone(key)
      }),
    )
    const killable = doing.filter(({ held }) => held)
    yield* triedAt("a do that was killed half-way and then undone", killable, (key, moment) =>
      whileUnderWay(step.do(key), moment, () =>
        Effect.gen(function* () {
          const undoing = yield* Effect.forkChild(undoAtLast(key))
          // Whoever waits for the killed one here would not: its locks end with its process.
          const outcome = yield* Effect.timeoutOption(Fiber.join(undoing), PATIENCE_MS)
          if (Option.isSome(outcome)) yield* leaves(key, untouched)
        }),
      ),
    )
    yield* triedAt("a do and its undo at once", doing, (key, moment) =>
      whileUnderWay(step.do(key), moment, (late) =>
        Effect.gen(function* () {
          const undoing = yield* Effect.forkChild(undoAtLast(key))
          yield* Effect.timeoutOption(Fiber.await(undoing), moment.held ? PATIENCE_MS : 0)
          yield* late.goOn
          yield* Fiber.await(late.fiber)
          yield* Fiber.join(undoing)
          yield* leaves(key, untouched)
          yield* undone(key)
        }),
      ),
    )
    yield* triedAt("done by two executors at once, the step", doing, (key, moment) =>
      whileUnderWay(doIt(key), moment, (one) =>
        Effect.gen(function* () {
          const other = yield* Effect.forkChild(doIt(key))
          yield* Effect.timeoutOption(Fiber.await(other), moment.held ? PATIENCE_MS : 0)
          yield* one.goOn
          yield* same("answered", yield* Fiber.join(one.fiber), yield* Fiber.join(other))
          yield* leaves(key, done)
          yield* undone(key)
        }),
      ),
    )
    const brokenOff = (work: Effect.Effect<unknown, unknown, R | R2>, moment: Moment) =>
      whileUnderWay(work, moment, ({ breakOff }) => breakOff)
    yield* triedAt(
      "broken off half-way and done again, the step",
      doing,
      (key, moment) =>
        Effect.gen(function* () {
          yield* brokenOff(step.do(key), moment)
          yield* same("answered", yield* doIt(key), yield* doIt(key))
          yield* leaves(key, done)
        }),
      { afterMs, look: (key) => Effect.andThen(leaves(key, done), undone(key)) },
    )
    const stillUndone = { afterMs, look: (key: string) => leaves(key, untouched) }
    yield* triedAt(
      "broken off half-way and then undone, the step",
      doing,
      (key, moment) => Effect.andThen(brokenOff(step.do(key), moment), undoAtLast(key)),
      stillUndone,
    )
    yield* triedAt(
      "an undo that was broken off half-way and repeated",
      undoing,
      (key, moment) => Effect.andThen(doIt(key), Effect.andThen(brokenOff(step.undo(key), moment), undoAtLast(key))),
      stillUndone,
    )
    return broken
  })
