/** What `changes.test.ts` does, for as long as it takes to meet an interleaving that three rounds do not. */
import { test } from "vitest"
import { timeLeft, soaking, soakMs } from "../harness/soak.ts"
import { changeEverything } from "./changes.ts"

test("every unit keeps one cover, its generations and its cooldown, whatever changes around it", soaking, () =>
  changeEverything(timeLeft(soakMs)),
)
