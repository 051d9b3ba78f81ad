/** Up to 32 callers on small pools: no address twice, no false exhaustion, counters exact whenever all is quiet. */
import { test } from "vitest"
import { churn, holdOneEach, shareLastAddress } from "./churn.ts"

test.each([2, 64, 1000])("allocate, replay and release at random on %i addresses", (size) =>
  churn(size, 30, (round) => round === 1),
)

test("32 callers that hold one each of 33 addresses are never told exhausted", () =>
  holdOneEach((rounds) => rounds < 40))

test("eight callers with one key for the last address: all equal, never exhausted, 100 times", () =>
  shareLastAddress(100))
