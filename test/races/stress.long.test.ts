/**
 * What `stress.test.ts` does, for as long as it takes to meet what is rare: a caller that is told exhausted once in ten thousand calls,
 * a counter that is off after an hour.
 */
import { test } from "vitest"
import { timeLeft, soaking, soakMs } from "../harness/soak.ts"
import { churn, holdOneEach, shareLastAddress } from "./churn.ts"

test.each([2, 64, 1000])("allocate, replay and release at random on %i addresses", soaking, (size) =>
  churn(size, 300, timeLeft(soakMs / 3)),
)

test("32 callers that hold one each of 33 addresses are never told exhausted", soaking, () =>
  holdOneEach(timeLeft(soakMs)),
)

test("eight callers with one key for the last address: all equal, never exhausted, 500 times", soaking, () =>
  shareLastAddress(500),
)
