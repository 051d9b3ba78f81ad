/** The ledger under engines at random: whatever they do and whenever they die, no address is leaked or lost. */
import { test } from "vitest"
import { runEngines } from "./operationEngines.ts"

test("no engine leaks or loses an address, whatever it does and whenever it dies", () =>
  runEngines((call) => call < 300))
