/** A flow that comes to a worker without it waits there for a worker that has it: nothing is recorded for it, and nothing lost. */
import { setTimeout as pause } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { expect, onTestFinished, test, vi } from "vitest"
import { layer } from "../../../src/layer.ts"
import { allocateStep } from "../../../src/saga/addresses.ts"
import { starterLayer } from "../../../src/saga/engine.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { step } from "../../../src/saga/step.ts"
import { startInProcess } from "../inProcess.ts"
import { openWorld, type World } from "../world.ts"

// How long the engine would wait, were it left to it; it reads that once, when it is loaded.
vi.hoisted(() => (process.env["ENTITY_REGISTRATION_TIMEOUT"] = "1 second"))

const Newer = Saga.make("Newer", {
  payload: { id: Schema.String },
  idempotencyKey: ({ id }) => id,
  targets: ({ id }) => [{ kind: "newer", id }],
})
const reached = Promise.withResolvers<void>()
const gate = Promise.withResolvers<void>()
const NewerLive = Newer.toLayer(
  Effect.fnUntraced(function* ({ id }) {
    yield* allocateStep("nic", { slots: [{ slot: "v4", pool: "v4" }] })
    if (id === "half-way") yield* step("gate", { do: Effect.promise(() => (reached.resolve(), gate.promise)) })
  }),
)

const started = async (world: World, flows?: typeof NewerLive) => {
  const worker = await startInProcess(world, flows && { flows })
  await worker.run(Effect.void)
  return worker
}
const outcome = (id: string) =>
  Effect.match(Newer.execute({ id }), { onFailure: ({ _tag }) => _tag as string, onSuccess: () => "succeeded" })

test("a flow waits at a worker that does not have it, begun or not, until one that has it takes over", async () => {
  const world = await openWorld()
  onTestFinished(world.close)
  const url = world.database.url()
  const starter = ManagedRuntime.make(Layer.merge(starterLayer({ url }), layer({ url })))
  onTestFinished(() => starter.dispose())

  const begun = starter.runPromise(outcome("half-way"))
  const first = await started(world, NewerLive)
  await reached.promise
  await first.close()
  gate.resolve()

  const older = await started(world)
  const waiting = starter.runPromise(outcome("not begun"))
  const early = Promise.race([begun, waiting])
  expect(await Promise.race([early, pause(5000, "waits")])).toBe("waits")
  const states = () => world.session.rows("select state from ipam.operation")
  expect(await states()).toEqual([{ state: "pending" }])
  await older.close()

  const second = await started(world, NewerLive)
  onTestFinished(second.close)
  expect([await begun, await waiting]).toEqual(["succeeded", "succeeded"])
  expect(await states()).toEqual([{ state: "succeeded" }, { state: "succeeded" }])
  const held = await world.session.rows("select from ipam.allocation where confirmed_at is not null")
  expect(held).toHaveLength(2)
  expect(await world.doctor()).toEqual([])
})
