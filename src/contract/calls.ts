/** All calls of the database API that the library makes, under the name that callers know. */
import { allocationCalls } from "./allocationCalls.ts"
import type { Sent } from "./call.ts"
import { importCalls } from "./importCalls.ts"
import { operationCalls, targetVrf } from "./operationCalls.ts"
import { checkVrf, poolCalls } from "./poolCalls.ts"
import { reconcilerCalls } from "./reconcilerCalls.ts"
import { sagaCalls } from "./sagaCalls.ts"
import { doctorCalls, upkeepCalls } from "./upkeepCalls.ts"

/** What callers may send. */
export const calls = { ...allocationCalls, ...poolCalls, ...operationCalls, ...doctorCalls }

const singles: ReadonlyArray<Sent<never, unknown, unknown>> = [
  ...Object.values(calls).flatMap((one): ReadonlyArray<Sent<never, unknown, unknown>> =>
    "among" in one ? one.among : [one],
  ),
  ...Object.values(upkeepCalls),
  ...Object.values(reconcilerCalls),
  ...Object.values(importCalls),
  ...Object.values(sagaCalls),
  checkVrf,
  targetVrf,
]

/** Each SQL function that the library calls, itself, as a part of something, or for several calls at once. */
export const everySent: ReadonlyArray<Sent<never, unknown, unknown>> = singles.flatMap((one) =>
  one.batch === undefined ? [one] : [one, one.batch],
)
