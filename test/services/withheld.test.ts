/** Where one slot of a confirm or an extend is refused, the call says why, though the database names its siblings first. */
import * as Effect from "effect/Effect"
import { expect, test } from "vitest"
import { Allocator } from "../../src/services/Allocator.ts"
import { layer } from "../../src/layer.ts"
import { createPool } from "../harness/calls.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()
const requestId = "00000000-0000-4000-8000-000000000001"

test("confirmMany and extendMany tell of the slot that was released, whichever place it has", async () => {
  await createPool(database().session(), "web", "10.0.0.0/29")
  const program = Effect.gen(function* () {
    const allocator = yield* Allocator
    const pool = "web"
    yield* allocator.allocateMany({ requestId, slots: ["a", "b"].map((slot) => ({ slot, pool })), ttlSeconds: 60 })
    yield* allocator.release({ requestId, slot: "b" })
    const refused = []
    for (const slots of [
      ["a", "b"],
      ["b", "a"],
    ]) {
      refused.push(yield* Effect.flip(allocator.confirmMany({ requestId, slots })))
      refused.push(yield* Effect.flip(allocator.extendMany({ requestId, slots, ttlSeconds: 60 })))
    }
    const { state } = yield* allocator.extend({ requestId, slot: "a", ttlSeconds: 60 })
    return { refused, state }
  })
  const { refused, state } = await Effect.runPromise(
    Effect.provide(program, layer({ url: database().url("ipam_allocator") })),
  )
  expect(refused).toMatchObject(refused.map(() => ({ _tag: "KeyReleased", slot: "b" })))
  expect(refused).toHaveLength(4)
  expect(state).toBe("provisional")
})
