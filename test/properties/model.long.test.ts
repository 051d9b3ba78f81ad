/** What `model.test.ts` does, with twice as many histories. */
import { test } from "vitest"
import { soaking } from "../harness/soak.ts"
import { followModel } from "./model.ts"

test("any sequence of calls gets the answers of the model", soaking, () => followModel(60))
