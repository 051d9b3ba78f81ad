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
 * Every trial has a key of its own. What a broken step leaves behind stays: use a place that may be thrown away. A killed
 * process is tried as a fiber that stands still, an interrupted one as a fiber that is interrupted; what the network or a server
 * does to a call that is on its way is tried only as far as it happens within the time that a plain `do` takes.
 */
import { randomUUID } from "node:crypto"
import { inspect, isDeepStrictEqual } from "node:util"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { momentsOf, startUntil, type Moment } from "./underWay.ts"

/** A step as `step` takes it, but of a key: a fresh UUIDv4 for each trial, which stands for the flow's operation id. */
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
/** How long is waited at least for what comes late, in milliseconds. */
const SETTLES_AFTER_MS = 20
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
    const hangsAfter = Duration.fromInputUnsafe(step.hangsAfter ?? "10 seconds")
    const broken: Array<string> = []
    const tried = <A, R>(subject: string, trial: (key: string) => Effect.Effect<A, string, R>) =>
      Effect.map(within(trial(randomUUID()), hangsAfter), (outcome) => {
        if (Exit.isFailure(outcome)) broken.push(`${subject} ${Cause.squash(outcome.cause) as string}`)
        return outcome
      })
    const triedAt = Effect.fnUntraced(function* <A, R>(
      subject: string,
      moments: ReadonlyArray<Moment>,
      trial: (key: string, moment: Moment) => Effect.Effect<A, string, R>,
    ) {
      for (const moment of moments) {
        if (Exit.isFailure(yield* tried(subject, (key) => trial(key, moment)))) return
      }
    })

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
        return { doing, undoing, settles: Effect.sleep(Math.max(SETTLES_AFTER_MS, 2 * tookMs)) }
      }),
    )
    if (Exit.isFailure(second)) return broken
    const { doing, undoing, settles } = second.value

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
    const held = doing.filter((moment) => moment.held)
    yield* triedAt("a do that was killed half-way and then undone", held, (key, moment) =>
      Effect.gen(function* () {
        const killed = yield* startUntil(step.do(key), moment)
        const undoing = yield* Effect.forkChild(undoAtLast(key))
        // Whoever waits for the killed one here would not: its locks end with its process.
        const outcome = yield* Effect.timeoutOption(Fiber.join(undoing), PATIENCE_MS)
        if (Option.isSome(outcome)) yield* leaves(key, untouched)
        yield* killed.breakOff
      }),
    )
    yield* triedAt("a do and its undo at once", doing, (key, moment) =>
      Effect.gen(function* () {
        const late = yield* startUntil(step.do(key), moment)
        const undoing = yield* Effect.forkChild(undoAtLast(key))
        yield* Effect.timeoutOption(Fiber.await(undoing), moment.held ? PATIENCE_MS : 0)
        yield* late.goOn
        yield* Fiber.await(late.fiber)
        yield* Fiber.join(undoing)
        yield* leaves(key, untouched)
        yield* undone(key)
      }),
    )
    yield* triedAt("done by two executors at once, the step", doing, (key, moment) =>
      Effect.gen(function* () {
        const one = yield* startUntil(doIt(key), moment)
        const other = yield* Effect.forkChild(doIt(key))
        yield* Effect.timeoutOption(Fiber.await(other), moment.held ? PATIENCE_MS : 0)
        yield* one.goOn
        yield* same("answered", yield* Fiber.join(one.fiber), yield* Fiber.join(other))
        yield* leaves(key, done)
        yield* undone(key)
      }),
    )
    yield* triedAt("broken off half-way and done again, the step", doing, (key, moment) =>
      Effect.gen(function* () {
        yield* (yield* startUntil(step.do(key), moment)).breakOff
        const answer = yield* doIt(key)
        yield* settles
        yield* leaves(key, done)
        yield* same("answered", yield* doIt(key), answer)
        yield* undone(key)
      }),
    )
    yield* triedAt("broken off half-way and then undone, the step", doing, (key, moment) =>
      Effect.gen(function* () {
        yield* (yield* startUntil(step.do(key), moment)).breakOff
        yield* undoAtLast(key)
        yield* settles
        yield* leaves(key, untouched)
      }),
    )
    yield* triedAt("an undo that was broken off half-way and repeated", undoing, (key, moment) =>
      Effect.gen(function* () {
        yield* doIt(key)
        yield* (yield* startUntil(step.undo(key), moment)).breakOff
        yield* undoAtLast(key)
        yield* settles
        yield* leaves(key, untouched)
      }),
    )
    return broken
  })

const words = (value: unknown): string => inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY })

const same = (verb: "left" | "answered", seen: unknown, expected: unknown) =>
  isDeepStrictEqual(seen, expected) ? Effect.void : Effect.fail(`${verb} ${words(seen)} instead of ${words(expected)}`)

const must = <A, E, R>(work: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, string, R> =>
  Effect.catchCause(work, (cause) => {
    const error: unknown = Cause.squash(cause)
    return Effect.fail(`${what}: ${error instanceof Error ? `${error.name}: ${error.message}` : words(error)}`)
  })

/** A trial that hangs is left to itself: not even its interruption is waited for. */
const within = <A, R>(trial: Effect.Effect<A, string, R>, limit: Duration.Duration) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkDetach(trial)
    const stop = Effect.sync(() => fiber.interruptUnsafe())
    const outcome = yield* Effect.onInterrupt(Effect.timeoutOption(Fiber.await(fiber), limit), () => stop)
    if (Option.isSome(outcome)) return outcome.value
    yield* stop
    return Exit.fail(`did not end within ${Duration.format(limit)}`)
  })
