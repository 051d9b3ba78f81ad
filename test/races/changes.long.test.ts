/** As `changes.test.ts`, for long enough to meet interleavings that three rounds do not. */
import { test } from "vitest"
import { timeLeft, soaking, soakMs } from "../harness/soak.ts"
import { changeEverything } from "./changes.ts"

test("every unit keeps exactly one cover, its generation and its cooldown under concurrent changes", soaking, () =>
  changeEverything(timeLeft(soakMs)),
)
