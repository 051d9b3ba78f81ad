/** Up to 32 callers on small pools: no address is held twice, no refusal is false, and the counters are exact after each round. */
import { test } from "vitest"
import { churn, holdOneEach, shareLastAddress } from "./churn.ts"

test.each([2, 64, 1000])("allocate, replay and release at random on %i addresses", (size) =>
  churn(size, 30, (round) => round === 1),
)

test("32 callers that each hold one of 33 addresses never get exhausted", () => holdOneEach((rounds) => rounds < 40))

test("eight callers with one key for the last address get the same answer and never exhausted, 100 times", () =>
  shareLastAddress(100))
