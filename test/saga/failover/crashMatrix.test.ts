/**
 * A worker is killed before and after every statement that a saga sends, on its way forward and back. The next worker continues from what
 * the log has, and every saga ends in one of two states.
 *
 * Which statements these are is not listed here: one saga of each kind is watched first.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { expect, onTestFinished, test } from "vitest"
import { layer } from "../../../src/layer.ts"
import { SagaWorker } from "../../../src/saga/SagaWorker.ts"
import { Allocator } from "../../../src/services/Allocator.ts"
import { Operations } from "../../../src/services/Operations.ts"
import { creating, kill, openWorld, startWorker, succeeded, unwound, type Create, type World } from "../world.ts"
import { InstanceCreate, instanceCreateLayer } from "../instance.ts"
import { watchedDatabase, type Statement } from "../statements.ts"

/** The statements that a saga of this payload sends, in order. */
const statementsOf = async (world: World, payload: Create): Promise<ReadonlyArray<Statement>> => {
  const sent: Array<Statement> = []
  const watched = watchedDatabase((operationId, statement, phase) =>
    Effect.sync(() => {
      if (phase === "before" && operationId === InstanceCreate.operationIdFor(payload)) sent.push(statement)
    }),
  )
  const services = Layer.mergeAll(Allocator.layer, Operations.layer).pipe(
    Layer.provideMerge(watched),
    Layer.provide(layer({ url: world.database.url() })),
  )
  const runtime = ManagedRuntime.make(
    instanceCreateLayer(world.devices.url).pipe(Layer.provideMerge(SagaWorker.layer()), Layer.provideMerge(services)),
  )
  await runtime.runPromise(Effect.exit(InstanceCreate.execute(payload)))
  await runtime.dispose()
  return sent.filter(({ call }) => call !== "get_operation")
}

test("killed before or after any statement, a saga ends in one of two states", async () => {
  const world = await openWorld()
  onTestFinished(world.close)
  const points = []
  for (const faultMode of ["ok", "fail"] as const) {
    for (const { call, nth } of await statementsOf(world, creating(`watched-${faultMode}`, faultMode))) {
      for (const phase of ["before", "after"] as const) {
        const payload = creating(`${faultMode}-${call}-${nth}-${phase}`, faultMode)
        points.push({ call, nth, phase, faultMode, payload, operationId: InstanceCreate.operationIdFor(payload) })
      }
    }
  }
  expect(points.length).toBeGreaterThan(30)

  const start = points.map(({ payload }) => payload)
  // What is held is not to be claimed anew before the worker is killed, however slow the machine is.
  const killed = startWorker(world, { start, worker: { takeoverSeconds: 3600, concurrency: 1000 }, hold: points })
  for (const { operationId, payload } of points) {
    expect(await killed.held(operationId), `${payload.request} is held`).toBe(true)
  }
  await kill(killed)
  await world.session.run("update ipam.saga_worker set lease_until = clock_timestamp()")
  const next = startWorker(world, { start, worker: { concurrency: 1000 } })
  await Promise.all(points.map(({ payload }) => next.ended(payload.request)))
  await kill(next)

  const states = await world.states()
  for (const { faultMode, payload, operationId } of points) {
    const state = states.get(operationId) ?? "never begun"
    if (faultMode === "ok") expect(state, payload.request).toBe(succeeded)
    else expect(state, payload.request).toMatch(unwound)
  }
  expect(await world.doctor()).toEqual([])
})
