/** A prune takes what the engine keeps of ended flows too, and a flow that was forgotten does not run again. */
import { afterAll, beforeAll, expect, test } from "vitest"
import { Allocator } from "../../src/services/Allocator.ts"
import { Operations } from "../../src/services/Operations.ts"
import { forgetExecutions } from "../../src/saga/forget.ts"
import { startInProcess, type InProcess } from "./inProcess.ts"
import { creating, idsOf, openWorld, type Create, type World } from "./world.ts"

let world: World
let worker: InProcess

beforeAll(async () => {
  world = await openWorld()
  worker = await startInProcess(world)
})
afterAll(async () => {
  await worker?.close()
  await world?.close()
})

const prune = () => worker.run(Operations.use((operations) => operations.prune({}, forgetExecutions)))

/** Lets an operation have ended a hundred days ago. */
const age = async (payload: Create) => {
  const { operationId } = await idsOf(payload)
  await world.session.rows(
    `update ipam.operation set begun_at = begun_at - interval '100 days', unwinding_at = unwinding_at - interval '100 days',
       finished_at = finished_at - interval '100 days' where operation_id = $1`,
    [operationId],
  )
}

const release = async (payload: Create) => {
  const { operationId: requestId } = await idsOf(payload)
  await worker.run(Allocator.use((allocator) => allocator.releaseAll({ requestId })))
}

/** How much the engine keeps of a flow: messages that name it anywhere, and their replies. */
const keptOf = async (payload: Create) => {
  const { executionId } = await idsOf(payload)
  const [row] = await world.session.rows(
    `select count(distinct m.id)::int as messages, count(distinct r.id)::int as replies
     from ipam_engine.engine_messages m left join ipam_engine.engine_replies r using (request_id)
     where m::text like '%' || $1 || '%'`,
    [executionId],
  )
  return row
}

const some = { messages: expect.any(Number), replies: expect.any(Number) }
const none = { messages: 0, replies: 0 }

test.each([
  { end: "succeeded", temper: "ok" },
  { end: "DeviceRefused", temper: "fail" },
] as const)("of a flow that ended with $end nothing is left, and of the others everything", async ({ end, temper }) => {
  const [old, young, holding] = [
    creating(`old-${temper}`, temper),
    creating(`young-${temper}`, temper),
    creating(`holding-${temper}`),
  ]
  expect(await Promise.all([old, young, holding].map(worker.create))).toEqual([end, end, "succeeded"])
  for (const one of [old, young]) await release(one)
  for (const one of [old, holding]) await age(one)
  const before = await Promise.all([old, young, holding].map(keptOf))
  expect(before).toEqual([some, some, some])
  for (const kept of before) expect(kept).not.toMatchObject({ messages: 0 })
  for (const kept of before) expect(kept).not.toMatchObject({ replies: 0 })

  expect(await prune()).toMatchObject({ operations: 1 })

  expect(await Promise.all([old, young, holding].map(keptOf))).toEqual([none, before[1], before[2]])
  const orphaned = await world.session.rows(
    "select from ipam_engine.engine_replies r where not exists (select from ipam_engine.engine_messages m where m.request_id = r.request_id)",
  )
  expect(orphaned).toEqual([])
})

test("a flow that was forgotten is refused when it is started again, and takes nothing", async () => {
  const payload = creating("again")
  const { operationId } = await idsOf(payload)
  const held = () => world.session.rows("select * from ipam.allocation order by 1, 2, 3")
  expect(await worker.create(payload)).toBe("succeeded")
  await release(payload)
  await age(payload)
  expect(await prune()).toMatchObject({ operations: 1 })
  const done = worker.done((await idsOf(payload)).executionId).length
  const before = await held()
  const asked = world.devices.log.length

  expect(await worker.create(payload)).toBe("OperationEnded")

  expect(worker.done((await idsOf(payload)).executionId).slice(done)).toEqual(["saga/begin"])
  expect(await held()).toEqual(before)
  expect(world.devices.log.slice(asked)).toEqual([])
  const [row] = await world.session.rows("select state, pruned_at from ipam.operation where operation_id = $1", [
    operationId,
  ])
  expect(row).toMatchObject({ state: "succeeded", pruned_at: expect.any(Date) })
  expect(await world.doctor()).toEqual([])
})
