/**
 * A flow that unwinds goes on unwinding when its worker dies on the way, though what made it turn back is gone by then; and one
 * whose worker is only closed goes on as if nothing had been.
 */
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { afterAll, beforeAll, expect, test } from "vitest"
import { starterLayer } from "../../../src/saga/engine.ts"
import { layer } from "../../../src/layer.ts"
import { Operations } from "../../../src/services/Operations.ts"
import { InstanceCreate } from "../reference/InstanceCreate.ts"
import { startInProcess, untilCancelSeen, type InProcess } from "../inProcess.ts"
import { creating, freePort, idsOf, kill, openWorld, pools, startWorker, unwound, type World } from "../world.ts"

let world: World
let port: number
let worker: InProcess

beforeAll(async () => {
  world = await openWorld()
  port = await freePort()
})
afterAll(async () => {
  await worker?.close()
  await world?.close()
})

/** Creations whose worker dies at a point of their way back, and what made them turn back, which is gone afterwards. */
const turned = [
  { activity: "saga/unwind", phase: "inside", cause: "pool" },
  { activity: "saga/unwind", phase: "after", cause: "pool" },
  { activity: "nic/undo", phase: "inside", cause: "pool" },
  { activity: "saga/unwound", phase: "before", cause: "pool" },
  { activity: "saga/unwound", phase: "inside", cause: "machine" },
  { activity: "boot/undo", phase: "inside", cause: "cancel" },
  { activity: "saga/unwind", phase: "inside", cause: "cancel" },
] as const

const errors = { pool: "UnknownPool", machine: "DeviceUnavailable", cancel: "FlowCancelled" }

test("a flow that turned back does not succeed when its cause is gone", async () => {
  const url = world.database.url()
  const starter = ManagedRuntime.make(Layer.merge(starterLayer({ url }), layer({ url })))
  await starter.context()
  const flows = await Promise.all(
    turned.map(async ({ activity, phase, cause }) => {
      const name = `${cause}-${activity.replace("/", "-")}-${phase}`
      const payload = { ...creating(name), pools: { ...pools, external: cause === "pool" ? name : pools.external } }
      const ids = await idsOf(payload)
      return {
        activity,
        phase,
        cause,
        payload,
        ...ids,
        asked: Promise.withResolvers<void>(),
        answered: Promise.withResolvers<void>(),
      }
    }),
  )
  // Until the hook is taken away, a machine does not answer; others answer once their flow has been cancelled.
  world.devices.hook = (when, request) => {
    const flow = flows.find(({ operationId }) => request === `PUT machines/${operationId}`)
    if (when !== "before" || flow === undefined) return
    if (flow.cause === "machine") throw new Error("it does not answer")
    flow.asked.resolve()
    return flow.answered.promise
  }
  const dying = startWorker(world, { port, start: flows.map(({ payload }) => payload), hold: flows })
  for (const { cause, payload, executionId, asked, answered } of flows) {
    if (cause !== "cancel") continue
    await asked.promise
    await starter.runPromise(InstanceCreate.cancel(payload))
    await untilCancelSeen(world, executionId)
    answered.resolve()
  }
  for (const { payload, executionId } of flows) expect(await dying.held(executionId), payload.request).toBe(true)
  await kill(dying)
  world.devices.hook = undefined
  for (const [index, { payload }] of flows.entries()) {
    await world.session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [
      payload.request,
      `10.8.${index}.0/24`,
    ])
  }
  await starter.dispose()
  worker = await startInProcess(world, { port })
  expect(await Promise.all(flows.map(({ payload }) => worker.create(payload)))).toEqual(
    turned.map(({ cause }) => errors[cause]),
  )
  const states = await world.states()
  for (const { payload, cause, operationId } of flows) {
    expect(states.get(operationId), payload.request).toMatch(unwound)
    const [row] = await world.session.rows(
      "select error ->> '_tag' as error from ipam.operation where operation_id = $1",
      [operationId],
    )
    expect(row?.["error"], payload.request).toBe(errors[cause])
  }
  expect(await world.doctor()).toEqual([])
})

test("a worker that is closed leaves its flows as they are, and the next one goes on", async () => {
  const flows = ["nic/do", "boot/do", "saga/succeeded"].map((activity) => ({
    activity,
    payload: creating(`closed at ${activity}`),
  }))
  for (const { activity, payload } of flows) {
    const hold = worker.hold((await idsOf(payload)).executionId, activity, "before")
    await worker.run(InstanceCreate.start(payload))
    await hold.reached
  }
  // That this one unwinds is only in the ledger: whoever has it next must not go forward.
  const decided = creating("decided in the ledger")
  const { executionId, operationId } = await idsOf(decided)
  const hold = worker.hold(executionId, "boot/do", "before")
  await worker.run(InstanceCreate.start(decided))
  await hold.reached
  await worker.run(Operations.use((operations) => operations.unwindOperation({ operationId })))
  await worker.close()
  expect(
    await world.session.rows("select state, count(*)::int from ipam.operation where pending group by 1 order by 1"),
  ).toEqual([
    { state: "pending", count: 3 },
    { state: "unwinding", count: 1 },
  ])
  worker = await startInProcess(world, { port })
  for (const { payload } of flows) expect(await worker.create(payload)).toBe("succeeded")
  expect(await worker.create(decided)).toBe("FlowCancelled")
  expect(world.devices.log.filter((line) => line.startsWith(`PUT machines/${operationId}`))).toEqual([])
  expect((await world.states()).get(operationId)).toMatch(unwound)
})
