/** Runs the trials of `checkStep` one after the other, each under a key of its own, and collects the sentences. */
import { randomUUID } from "node:crypto"
import { inspect, isDeepStrictEqual } from "node:util"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Moment } from "./interleavingPoints.ts"

/** A trial of one key fails with the end of a sentence whose subject is the trial's. */
export type Trial<A, R> = (key: string) => Effect.Effect<A, string, R>

/** `hangsAfter` is for each trial. */
export const startTrials = (hangsAfter: Duration.Duration) => {
  const broken: Array<string> = []
  const run = <A, R>(subject: string, trial: Effect.Effect<A, string, R>) =>
    Effect.map(within(trial, hangsAfter), (outcome) => {
      if (Exit.isFailure(outcome)) broken.push(`${subject} ${Cause.squash(outcome.cause) as string}`)
      return outcome
    })
  return {
    /** The sentences so far. */
    broken,
    tried: <A, R>(subject: string, trial: Trial<A, R>) => Effect.suspend(() => run(subject, trial(randomUUID()))),
    /** At each moment, until one breaks. Then everything once more `later`, when what comes late has had its time. */
    triedAt: Effect.fnUntraced(function* <A, R, B = void, R2 = never>(
      subject: string,
      moments: ReadonlyArray<Moment>,
      trial: (key: string, moment: Moment) => Effect.Effect<A, string, R>,
      later?: { readonly afterMs: number; readonly look: Trial<B, R2> },
    ) {
      const keys: Array<string> = []
      for (const moment of moments) {
        const key = randomUUID()
        keys.push(key)
        if (Exit.isFailure(yield* run(subject, trial(key, moment)))) return
      }
      if (later === undefined) return
      yield* Effect.sleep(later.afterMs)
      for (const key of keys) {
        if (Exit.isFailure(yield* run(subject, later.look(key)))) return
      }
    }),
  }
}

export const words = (value: unknown): string => inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY })

export const same = (verb: "left" | "answered", seen: unknown, expected: unknown) =>
  isDeepStrictEqual(seen, expected) ? Effect.void : Effect.fail(`${verb} ${words(seen)} instead of ${words(expected)}`)

export const must = <A, E, R>(work: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, string, R> =>
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
