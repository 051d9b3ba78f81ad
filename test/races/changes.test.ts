/** Random changes of pools, ranges and reservations beside all other calls; `changes.long.test.ts` runs longer. */
import { test } from "vitest"
import { changeEverything } from "./changes.ts"

test("every unit keeps exactly one cover, its generation and its cooldown under concurrent changes", () =>
  changeEverything((round) => round <= 3))
