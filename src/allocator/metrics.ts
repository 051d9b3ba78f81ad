/**
 * What the allocator counts: allocations by outcome, and how long its calls take.
 */
import type { Cause } from "effect/Cause";
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import * as Metric from "effect/Metric";

const allocations = Metric.counter("ipam_allocations", {
  description: "Slots that an allocate was called for, by outcome: allocated, replayed, or the error's class",
  incremental: true,
});
const seconds = Metric.histogram("ipam_call_seconds", {
  description: "How long calls take, repetitions included, by call",
  boundaries: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});

/** One metric for each value of an attribute, made once: making one costs more than counting with it. */
const byAttribute = <Metric_>(make: (value: string) => Metric_) => {
  const made = new Map<string, Metric_>();
  return (value: string): Metric_ => {
    const known = made.get(value);
    if (known !== undefined) return known;
    const fresh = make(value);
    made.set(value, fresh);
    return fresh;
  };
};
const allocationsBy = byAttribute((outcome) => Metric.withAttributes(allocations, { outcome }));
const secondsOf = byAttribute((call) => Metric.withAttributes(seconds, { call }));

/** Measures a call; `name` is the method's. */
export const timed =
  (name: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.clockWith((clock) => {
      const start = clock.monotonicTimeNanosUnsafe();
      return Effect.onExit(effect, () =>
        Metric.update(secondsOf(name), Number(clock.monotonicTimeNanosUnsafe() - start) / 1e9),
      );
    });

interface Answered {
  readonly outcome: string;
}
interface Failed {
  readonly _tag: string;
}

/** Counts what an allocate of one slot came to. */
export const countedOne = <A extends Answered, E extends Failed, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.onExit(effect, (exit) => count(Exit.isSuccess(exit) ? exit.value.outcome : failureOf(exit.cause)));

/** Counts what each slot of an allocate came to; one that failed counts once. */
export const countedMany = <A extends ReadonlyArray<Answered>, E extends Failed, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.onExit(effect, (exit) =>
    Exit.isSuccess(exit)
      ? Effect.forEach(exit.value, (answer) => count(answer.outcome), { discard: true })
      : count(failureOf(exit.cause)),
  );

const count = (outcome: string): Effect.Effect<void> => Metric.update(allocationsBy(outcome), 1);

const failureOf = (cause: Cause<Failed>): string => {
  const [reason] = cause.reasons;
  if (reason?._tag === "Fail") return reason.error._tag;
  return reason?._tag === "Interrupt" ? "interrupted" : "defect";
};
