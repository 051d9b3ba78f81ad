/**
 * What the allocator counts: allocations by outcome, and how long its calls take.
 */
import type { Cause } from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"

const allocations = Metric.counter("ipam_allocations", {
  description: "Slots that an allocate was called for, by outcome: allocated, replayed, or the error's class",
  incremental: true,
})
const seconds = Metric.histogram("ipam_call_seconds", {
  description: "How long calls take, repetitions included, by call",
  boundaries: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
})

const allocationsBy = new Map<string, Metric.Metric<number, unknown>>()

/** The counter of one outcome, made once: making one costs more than counting with it. */
const counterOf = (outcome: string): Metric.Metric<number, unknown> => {
  const known = allocationsBy.get(outcome)
  if (known !== undefined) return known
  const fresh = Metric.withAttributes(allocations, { outcome })
  allocationsBy.set(outcome, fresh)
  return fresh
}

/** What is counted of an answer: the outcomes of its slots. Only allocates are counted. */
type Outcomes<A> = (answer: A) => ReadonlyArray<string>

interface Tagged {
  readonly _tag: string
}

/**
 * A method of a service, e.g. `Allocator.allocate`: in a span of that name, timed, and, with `outcomes`, counted; a call that
 * fails counts once, by the class of its error.
 *
 * Where no tracer is set, nobody could see the span, and it is left out: with it, a call costs half as much again.
 */
export const method = <Request, A, E extends Tagged>(
  name: string,
  call: (request: Request) => Effect.Effect<A, E>,
  outcomes?: Outcomes<A>,
): ((request: Request) => Effect.Effect<A, E>) => {
  const traced = Effect.fn(name)(call)
  const histogram = Metric.withAttributes(seconds, { call: name })
  return (request) =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const start = clock.monotonicTimeNanosUnsafe()
      return Effect.onExit((fiber.cache.tracer === undefined ? call : traced)(request), (exit) => {
        histogram.updateUnsafe(Number(clock.monotonicTimeNanosUnsafe() - start) / 1e9, fiber.context)
        if (outcomes !== undefined) {
          const counted = Exit.isSuccess(exit) ? outcomes(exit.value) : [failureOf(exit.cause)]
          for (const outcome of counted) counterOf(outcome).updateUnsafe(1, fiber.context)
        }
        return Effect.void
      })
    })
}

const failureOf = (cause: Cause<Tagged>): string => {
  const [reason] = cause.reasons
  if (reason?._tag === "Fail") return reason.error._tag
  return reason?._tag === "Interrupt" ? "interrupted" : "defect"
}
