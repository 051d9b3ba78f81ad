/** What `stress.test.ts` does, for as long as it takes to meet two rare orders of calls at once. */
import { test } from "vitest"
import { timeLeft, soaking, soakMs } from "../harness/soak.ts"
import { runEngines } from "./operationEngines.ts"

test("no engine leaks or loses an address, whatever it does and whenever it dies", soaking, () =>
  runEngines(timeLeft(soakMs)),
)
