/** A worker that stands still while another one takes its saga over, and comes back: it changes nothing, and learns how the saga ended. */
import { afterEach, beforeEach, expect, test } from "vitest"
import { until } from "../../harness/until.ts"
import { disagreements, holdRequests } from "./disagreements.ts"
import {
  creating,
  kill,
  openWorld,
  startWorker,
  succeeded,
  unwound,
  type Create,
  type Worker,
  type World,
} from "../world.ts"
import { InstanceCreate } from "../instance.ts"

let world: World
let workers: Array<Worker>

beforeEach(async () => {
  world = await openWorld()
  workers = []
})
afterEach(async () => {
  await Promise.all(workers.map(kill))
  await world.close()
})

const startNew = async (start: ReadonlyArray<Create> = []): Promise<Worker> => {
  const worker = startWorker(world, { start, worker: { takeoverSeconds: 2 } })
  workers.push(worker)
  await worker.ready
  return worker
}

const stateOf = async (payload: Create) => (await world.states()).get(InstanceCreate.operationIdFor(payload))
const untilEnded = (payload: Create) =>
  world.session.until("select from ipam.operation where operation_id = $1 and not pending", [
    InstanceCreate.operationIdFor(payload),
  ])
/** Sessions of a worker that wait for a locked table: not for a row, as two renewals of one lease do for a moment. */
const blocked = `select from pg_stat_activity
  where datname = current_database() and application_name = 'child' and wait_event_type = 'Lock' and wait_event = 'relation'`

/** Everything that anybody can see, to tell that nothing of it changes any more. */
const picture = async () => ({
  allocations: await world.session.rows(
    "select request_id, slot, host(unit) as unit, generation::text, expires_at, confirmed_at, released_at from ipam.allocation order by 1, 2",
  ),
  operations: await world.session.rows("select operation_id, state, result, error from ipam.operation"),
  steps: await world.session.rows("select * from ipam.saga_step order by operation_id, ordinal"),
  instances: await world.session.rows("select * from reference.instance"),
  ports: [...world.devices.ports],
  machines: [...world.devices.machines],
})

const ends = [
  { faultMode: "ok", end: new RegExp(`^${succeeded}$`), told: /^succeeded$/ },
  { faultMode: "fail", end: unwound, told: /DeviceRefused/ },
] as const

/** Lets another worker end the saga, wakes the one that stands still, and checks that it changes nothing. */
const expectNoChange = async (
  zombie: Worker,
  payload: Create,
  { end, told }: (typeof ends)[number],
  wake?: () => void,
) => {
  await startNew()
  await untilEnded(payload)
  expect(await stateOf(payload)).toMatch(end)
  const before = await picture()
  wake?.()
  zombie.process.kill("SIGCONT")
  expect(await zombie.ended(payload.request)).toMatch(told)
  expect(await picture()).toEqual(before)
  expect(await disagreements(world)).toEqual([])
  expect(await world.doctor()).toEqual([])
}

test.each(ends)("a worker that stood still in an allocate changes nothing ($faultMode)", async (kind) => {
  const payload = creating(`frozen-${kind.faultMode}`, kind.faultMode)
  const blocker = world.database.session()
  await blocker.run("begin; lock table ipam.allocation in access exclusive mode")
  const zombie = await startNew([payload])
  await world.session.until(blocked)
  zombie.process.kill("SIGSTOP")
  // Its statement goes through now, and nobody reads the answer.
  await blocker.run("commit")
  await expectNoChange(zombie, payload, kind)
})

test.each(ends)("a worker that stood still in a write of the log changes nothing ($faultMode)", async (kind) => {
  const payload = creating(`unlogged-${kind.faultMode}`, kind.faultMode)
  const held = holdRequests(world.devices, /^PUT machines/, "after")
  const zombie = await startNew([payload])
  await held.reached
  const blocker = world.database.session()
  await blocker.run("begin; lock table ipam.saga_step in access exclusive mode")
  world.devices.hook = undefined
  held.open()
  await world.session.until(blocked)
  zombie.process.kill("SIGSTOP")
  await blocker.run("commit")
  await expectNoChange(zombie, payload, kind)
})

test.each(ends)(
  "a request that arrives at the switch after the end of its saga changes nothing ($faultMode)",
  async (kind) => {
    const payload = creating(`late-${kind.faultMode}`, kind.faultMode)
    const held = holdRequests(world.devices, /^PUT ports/, "before")
    const { hook } = world.devices
    let isFirst = true
    world.devices.hook = (when, request) => {
      if (!isFirst || when !== "before" || !request.startsWith("PUT ports")) return
      isFirst = false
      return hook?.(when, request)
    }
    const zombie = await startNew([payload])
    await held.reached
    zombie.process.kill("SIGSTOP")
    await expectNoChange(zombie, payload, kind, held.open)
  },
)

test("sagas go on after the log was locked for longer than a lease runs", async () => {
  const payloads = ends.map(({ faultMode }) => creating(`locked-${faultMode}`, faultMode))
  const held = holdRequests(world.devices, /^PUT ports/, "after")
  const worker = await startNew(payloads)
  await held.reached
  const blocker = world.database.session()
  await blocker.run("begin; lock table ipam.saga_run, ipam.saga_step, ipam.saga_worker in access exclusive mode")
  world.devices.hook = undefined
  held.open()
  await world.session.until(blocked)
  await until("the lease of the worker has expired", async () => {
    const [row] = await blocker.rows("select max(lease_until) < clock_timestamp() as expired from ipam.saga_worker")
    return row?.["expired"] === true
  })
  await blocker.run("commit")
  for (const [index, { end, told }] of ends.entries()) {
    const payload = payloads[index] ?? creating("none")
    expect(await worker.ended(payload.request)).toMatch(told)
    expect(await stateOf(payload)).toMatch(end)
  }
  expect(await disagreements(world)).toEqual([])
  expect(await world.doctor()).toEqual([])
})
