/** Changes of pools, ranges and reservations beside everything else; `changes.long.test.ts` goes on for longer. */
import { test } from "vitest"
import { changeEverything } from "./changes.ts"

test("every unit keeps one cover, its generations and its cooldown, whatever changes around it", () =>
  changeEverything((round) => round <= 3))
