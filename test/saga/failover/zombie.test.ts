/** A worker that stands still while another one takes its flow over, and comes back; and two workers that start at one moment. */
import { afterEach, beforeEach, expect, test } from "vitest"
import { disagreements, holdRequests, TAKEOVER_SECONDS } from "./chaos.ts"
import {
  creating,
  freePort,
  idsOf,
  kill,
  openWorld,
  startWorker,
  succeeded,
  unwound,
  type Create,
  type Worker,
  type World,
} from "../world.ts"

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
  const worker = startWorker(world, { port: await freePort(), start, takeoverSeconds: TAKEOVER_SECONDS })
  workers.push(worker)
  await worker.ready
  return worker
}

const stateOf = async (payload: Create) => (await world.states()).get((await idsOf(payload)).operationId)
const untilEnded = async (payload: Create) =>
  world.session.until("select 1 from ipam.operation where operation_id = $1 and not pending", [
    (await idsOf(payload)).operationId,
  ])
/** Sessions of a worker that wait for a lock in the database. */
const stuckText = `select 1 from pg_stat_activity
  where datname = current_database() and application_name = 'child' and cardinality(pg_blocking_pids(pid)) > 0`

/** What is there for anybody, to see that nothing of it changes any more. */
const picture = async () => ({
  allocations: await world.session.rows(
    "select request_id, slot, host(unit) as unit, generation::text, expires_at, confirmed_at, released_at from ipam.allocation order by 1, 2",
  ),
  operations: await world.session.rows("select operation_id, state, result, error from ipam.operation"),
  instances: await world.session.rows("select * from reference.instance"),
  ports: [...world.devices.ports],
  machines: [...world.devices.machines],
})

const ends = [
  { temper: "ok", end: new RegExp(`^${succeeded}$`) },
  { temper: "fail", end: unwound },
] as const

test.each(ends)(
  "a worker that stands still in an allocate, and comes back when its flow ($temper) is ended by another, changes nothing",
  async ({ temper, end }) => {
    const payload = creating(`frozen-${temper}`, temper)
    const blocker = world.database.session()
    await blocker.run("begin; lock table ipam.allocation in access exclusive mode")
    const zombie = await startNew([payload])
    await world.session.until(stuckText)
    zombie.process.kill("SIGSTOP")
    // Its statement goes through now, and nobody reads the answer.
    await blocker.run("commit")
    await startNew()
    await untilEnded(payload)
    expect(await stateOf(payload)).toMatch(end)
    const before = await picture()
    zombie.process.kill("SIGCONT")
    // It sees the end of the flow as the other one left it.
    expect(await zombie.ended(payload.request)).toMatch(temper === "ok" ? /^succeeded$/ : /DeviceRefused/)
    expect(await picture()).toEqual(before)
    expect(await disagreements(world)).toEqual([])
    expect(await world.doctor()).toEqual([])
  },
)

test.each(ends)(
  "a request that a standing worker had sent to the switch, and that arrives after the end of its flow ($temper), changes nothing",
  async ({ temper, end }) => {
    const payload = creating(`late-${temper}`, temper)
    const held = holdFirst(/^PUT ports/)
    const zombie = await startNew([payload])
    await held.reached
    zombie.process.kill("SIGSTOP")
    await startNew()
    await untilEnded(payload)
    expect(await stateOf(payload)).toMatch(end)
    const before = await picture()
    held.open()
    zombie.process.kill("SIGCONT")
    expect(await zombie.ended(payload.request)).toMatch(temper === "ok" ? /^succeeded$/ : /DeviceRefused/)
    expect(await picture()).toEqual(before)
    expect(await disagreements(world)).toEqual([])
    expect(await world.doctor()).toEqual([])
  },
)

/** Holds the first request only: those of the other worker go through. */
const holdFirst = (wanted: RegExp) => {
  const held = holdRequests(world.devices, wanted, "before")
  const { hook } = world.devices
  let isFirst = true
  world.devices.hook = (when, request) => {
    if (!isFirst || when !== "before" || !wanted.test(request)) return
    isFirst = false
    return hook?.(when, request)
  }
  return held
}

test("two workers that start at one moment on a database without an engine both run", async () => {
  const payloads = [0, 1].map((number) => creating(`both-${number}`))
  const ports = [await freePort(), await freePort()]
  const both = payloads.map((payload, index) =>
    startWorker(world, { port: ports[index] ?? 0, start: [payload], takeoverSeconds: TAKEOVER_SECONDS }),
  )
  workers.push(...both)
  for (const [index, worker] of both.entries()) {
    expect(await worker.ended(payloads[index]?.request ?? "")).toBe("succeeded")
  }
  for (const payload of payloads) expect(await stateOf(payload)).toBe(succeeded)
  expect(await disagreements(world)).toEqual([])
  expect(await world.doctor()).toEqual([])
})
