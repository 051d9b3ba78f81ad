/** As `model.test.ts`, with twice as many sequences of calls. */
import { test } from "vitest"
import { soaking } from "../harness/soak.ts"
import { followModel } from "./model.ts"

test("any sequence of calls gets the answers of the model", soaking, () => followModel(60))
