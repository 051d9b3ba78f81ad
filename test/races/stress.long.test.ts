/**
 * As `stress.test.ts`, for long enough to meet rare faults: `exhausted` without cause once in ten thousand calls, or a counter that
 * is wrong after an hour.
 */
import { test } from "vitest"
import { timeLeft, soaking, soakMs } from "../harness/soak.ts"
import { churn, holdOneEach, shareLastAddress } from "./churn.ts"

test.each([2, 64, 1000])("allocate, replay and release at random on %i addresses", soaking, (size) =>
  churn(size, 300, timeLeft(soakMs / 3)),
)

test("32 callers that each hold one of 33 addresses never get exhausted", soaking, () => holdOneEach(timeLeft(soakMs)))

test(
  "eight callers with one key for the last address get the same answer and never exhausted, 500 times",
  soaking,
  () => shareLastAddress(500),
)
