/** The example for DBOS, on the real thing: its system database is one of its own on the server of the tests. */
import { DBOS } from "@dbos-inc/dbos-sdk"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { connect, operationIdOf, type Ipam } from "../../src/promise.ts"
import { createDatabase, useDatabase, type Session, type TestDatabase } from "../harness/database.ts"
import { registerCreate } from "./dbosFlow.ts"
import { fakeMachines, type FakeMachines } from "./machines.ts"

const database = useDatabase()
let system: TestDatabase
let ipam: Ipam
let session: Session
let create: ReturnType<typeof registerCreate>

let machines: FakeMachines
const silent = { info: () => {}, debug: () => {}, warn: () => {}, error: () => {} }

beforeAll(async () => {
  system = await createDatabase("empty")
  session = database().session()
  const operator = await connect({ url: database().url("ipam_operator") })
  await operator.createPool({ name: "v4", ranges: ["10.0.0.0/29"], cooldownSeconds: 0 })
  await operator.createPool({ name: "v6", ranges: ["fd00::/64"], cooldownSeconds: 0 })
  await operator.close()
  ipam = await connect({ url: database().url("ipam_allocator") })
  // Its URLs must name a host, even where the one among the parameters counts.
  const systemDatabaseUrl = system.url().replace("@/", "@localhost/")
  DBOS.setConfig({ name: "interop", systemDatabaseUrl, logger: silent, tracingEnabled: false })
  create = registerCreate(ipam, {
    boot: (...given) => machines.boot(...given),
    remove: (...given) => machines.remove(...given),
  })
  await DBOS.launch()
})
afterAll(async () => {
  await DBOS.shutdown()
  await ipam.close()
  await system.drop()
})
beforeEach(() => {
  machines = fakeMachines()
})

const start = async (workflowID: string, instance: string) => {
  const handle = await DBOS.startWorkflow(create, { workflowID })(instance)
  return handle.getResult()
}
const records = async (requestId: string) =>
  (await ipam.list({ requestId })).map(({ slot, state, address }) => ({ slot, state, address }))
const target = (id: string) => ({ vrf: "default", kind: "instance", id })
const doctor = () => session.rows("select * from ipam.doctor()")

test("a flow that succeeds holds and has confirmed what it answers, and its operation succeeded", async () => {
  const id = crypto.randomUUID()
  const addresses = await start(id, "works")
  const operationId = operationIdOf(id)
  expect(await records(operationId)).toEqual([
    { slot: "nic/v4", state: "confirmed", address: addresses?.[0] },
    { slot: "nic/v6", state: "confirmed", address: addresses?.[1] },
  ])
  expect(await ipam.getOperation({ operationId })).toMatchObject({
    state: "succeeded",
    result: addresses,
    executionId: id,
    targets: [target("works")],
  })
  expect([...machines.running]).toEqual([[operationId, addresses]])
  expect(machines.asked).toEqual({ boot: 1, remove: 0 })
  expect(await doctor()).toEqual([])
})

test("a flow whose machine does not boot has released everything, and its operation is unwound with the error", async () => {
  const id = crypto.randomUUID()
  machines.fails = true
  await expect(start(id, "fails")).rejects.toThrow("it does not boot")
  const operationId = operationIdOf(id)
  expect((await records(operationId)).map(({ slot, state }) => [slot, state])).toEqual([
    ["nic/v4", "released"],
    ["nic/v6", "released"],
  ])
  expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "unwound", error: "Error: it does not boot" })
  expect(await ipam.hasPendingOperation(target("fails"))).toBe(false)
  expect(machines.asked).toEqual({ boot: 1, remove: 1 })
  expect(await doctor()).toEqual([])
})

test("a flow that a pool refuses ends its operation, and no machine is booted", async () => {
  const { free } = await ipam.getPool({ pool: "v4" })
  const others = Array.from({ length: Number(free) }, () => crypto.randomUUID())
  for (const requestId of others) await ipam.allocate({ pool: "v4", requestId })
  const id = crypto.randomUUID()
  await expect(start(id, "no room")).rejects.toThrow("exhausted")
  for (const requestId of others) await ipam.release({ requestId })
  const operationId = operationIdOf(id)
  expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "unwound" })
  expect(machines.asked).toEqual({ boot: 0, remove: 1 })
  await expect(ipam.allocate({ pool: "v4", requestId: operationId, slot: "nic/v4" })).rejects.toMatchObject({
    _tag: "OperationEnded",
  })
})

test("a flow that is started again with its workflow id answers the same, and does nothing twice", async () => {
  const works = crypto.randomUUID()
  const broken = crypto.randomUUID()
  const before = await start(works, "again")
  machines.fails = true
  await expect(start(broken, "broken again")).rejects.toThrow("it does not boot")
  machines.fails = false
  const tables = () =>
    session.rows(
      "select a::text as row from ipam.allocation a union all select o::text from ipam.operation o order by 1",
    )
  const rows = await tables()
  expect(await start(works, "again")).toEqual(before)
  await expect(start(broken, "broken again")).rejects.toThrow("it does not boot")
  expect(await tables()).toEqual(rows)
  expect(machines.asked).toEqual({ boot: 2, remove: 1 })
})

/** What a process that took over would do: the whole body once more, with nothing recorded. */
test("a flow whose records are lost is done again with the same end, since its keys are the same", async () => {
  const id = crypto.randomUUID()
  const first = await start(id, "recovered")
  await DBOS.deleteWorkflow(id)
  expect(await start(id, "recovered")).toEqual(first)
  expect(await records(operationIdOf(id))).toHaveLength(2)
  expect(await doctor()).toEqual([])
})
