/** Random sequences of calls of the allocator against its model. */
import { test } from "vitest"
import { followModel } from "./model.ts"

test("any sequence of calls gets the answers of the model", () => followModel(30))
