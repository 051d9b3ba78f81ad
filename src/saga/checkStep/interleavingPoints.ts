/**
 * Runs an effect up to a chosen moment, so that something else can happen there: for `checkStep`.
 *
 * The moments are counted in operations of the fiber, not in time, so that a run can be repeated exactly.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MixedScheduler, Scheduler } from "effect/Scheduler"

/** Where in an effect: after so many operations, and so many milliseconds later. `held`: it stands still from there on. */
export interface Moment {
  readonly operations: number
  readonly held: boolean
  readonly laterMs: number
}

/** An effect that has come to its moment, or to its end. */
export interface UnderWay<A, E> {
  readonly fiber: Fiber.Fiber<A, E>
  /** Lets it go on. Does nothing where it does not stand still. */
  readonly goOn: Effect.Effect<void>
  /** Interrupts it where it is, and waits for its end. */
  readonly breakOff: Effect.Effect<Exit.Exit<A, E>>
}

const counting = (operations: number, held: boolean) => {
  const scheduler = new MixedScheduler()
  const waiting: Array<() => void> = []
  let count = 0
  let stands = false
  let over = false
  let come: () => void = () => undefined
  const reached = new Promise<void>((resolve) => {
    come = resolve
  })
  const counted: Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => {
      if (count++ >= operations) {
        come()
        stands = held && !over
      }
      return stands || scheduler.shouldYield(fiber)
    },
    makeDispatcher: () => {
      const dispatcher = scheduler.makeDispatcher()
      return {
        scheduleTask: (task, priority) => {
          if (stands) waiting.push(() => dispatcher.scheduleTask(task, priority))
          else dispatcher.scheduleTask(task, priority)
        },
        flush: () => dispatcher.flush(),
      }
    },
  }
  return {
    scheduler: counted,
    reached,
    count: () => count,
    goOn: () => {
      over = true
      stands = false
      for (const go of waiting.splice(0)) go()
    },
  }
}

/** Starts an effect as a child of this fiber, and `use` when it has come to the moment or to its end. Afterwards it is broken off. */
export const whileUnderWay = <A, E, R, B, E2, R2>(
  work: Effect.Effect<A, E, R>,
  { operations, held, laterMs }: Moment,
  use: (underWay: UnderWay<A, E>) => Effect.Effect<B, E2, R2>,
): Effect.Effect<B, E2, R | R2> =>
  Effect.gen(function* () {
    const counted = counting(operations, held)
    const fiber = yield* Effect.forkChild(Effect.provideService(work, Scheduler, counted.scheduler))
    const come = Effect.raceFirst(
      Effect.promise(() => counted.reached),
      Fiber.await(fiber),
    )
    const goOn = Effect.sync(counted.goOn)
    const breakOff = Effect.suspend(() => {
      // Before it goes on: else it would run on until it is interrupted.
      fiber.interruptUnsafe()
      return Effect.andThen(goOn, Fiber.await(fiber))
    })
    return yield* Effect.andThen(come, Effect.sleep(laterMs)).pipe(
      Effect.andThen(Effect.suspend(() => use({ fiber, goOn, breakOff }))),
      Effect.ensuring(breakOff),
    )
  })

/** The answer of an effect, and moments that are spread over it: standing still, and under way. */
export const momentsOf = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<ReadonlyArray<Moment>, E, R> =>
  Effect.gen(function* () {
    const counted = counting(Number.POSITIVE_INFINITY, false)
    const began = performance.now()
    yield* Effect.provideService(work, Scheduler, counted.scheduler)
    const tookMs = performance.now() - began
    const last = counted.count()
    const spread = Math.max(1, Math.min(last, POINTS))
    const operations = Array.from({ length: spread + 1 }, (_, index) => Math.round((index * last) / spread))
    return [
      ...operations.map((operations) => ({ operations, held: true, laterMs: 0 })),
      ...operations.map((operations) => ({ operations, held: false, laterMs: 0 })),
      ...[0.25, 0.5, 0.75].map((share) => ({ operations: 0, held: false, laterMs: share * tookMs })),
    ]
  })

/** At more operations than these, moments are left out. */
const POINTS = 12
