/** A saga is cancelled before and after every statement that it sends, on its way forward and back. Which these are is found by running it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { expect, onTestFinished, test } from "vitest"
import { layer } from "../../../src/layer.ts"
import { SagaWorker } from "../../../src/saga/SagaWorker.ts"
import { Allocator } from "../../../src/services/Allocator.ts"
import { Operations } from "../../../src/services/Operations.ts"
import { creating, openWorld, succeeded, unwound } from "../world.ts"
import { InstanceCreate, instanceCreateLayer } from "../instance.ts"
import { watchedDatabase } from "../statements.ts"

test.each(["ok", "fail"] as const)(
  "cancelled before or after any statement, a saga ends as the cancel was told (%s)",
  async (faultMode) => {
    const world = await openWorld()
    onTestFinished(world.close)
    let cancelling = { operationId: "", at: 0, seen: 0, told: "nothing" }
    const watched = watchedDatabase((operationId, { call }) =>
      Effect.suspend(() => {
        if (operationId !== cancelling.operationId || call === "get_operation") return Effect.void
        if (cancelling.seen++ !== cancelling.at) return Effect.void
        return Effect.promise(async () => {
          const [row] = await world.session.rows("select outcome from ipam.cancel_operation($1)", [operationId])
          cancelling.told = String(row?.["outcome"])
        })
      }),
    )
    const services = Layer.mergeAll(Allocator.layer, Operations.layer).pipe(
      Layer.provideMerge(watched),
      Layer.provide(layer({ url: world.database.url() })),
    )
    const runtime = ManagedRuntime.make(
      instanceCreateLayer(world.devices.url).pipe(Layer.provideMerge(SagaWorker.layer()), Layer.provideMerge(services)),
    )
    onTestFinished(() => runtime.dispose())

    const told = new Set<string>()
    for (let at = 0; at <= cancelling.seen; at++) {
      const payload = creating(`cancelled-${faultMode}-${at}`, faultMode)
      const operationId = InstanceCreate.operationIdFor(payload)
      cancelling = { operationId, at, seen: 0, told: "nothing" }
      await runtime.runPromise(Effect.exit(InstanceCreate.execute(payload)))
      const state = (await world.states()).get(operationId)
      if (faultMode === "ok" && cancelling.told !== "cancelled") expect(state, `${at}`).toBe(succeeded)
      else expect(state, `${at}`).toMatch(unwound)
      told.add(cancelling.told)
    }
    expect([...told]).toEqual(expect.arrayContaining(["cancelled", "nothing"]))
    expect(cancelling.seen).toBeGreaterThan(15)
    expect(await world.doctor()).toEqual([])
  },
)
