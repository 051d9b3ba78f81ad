/** What prune deletes, and that no late call can repeat what was deleted. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import {
  connect,
  InvalidInput,
  KeyExpired,
  KeyReleased,
  KeyReused,
  OperationEnded,
  type Ipam,
} from "../../src/promise.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let ipam: Ipam
let owner: Session

beforeAll(async () => {
  owner = database().session()
  ipam = await connect({ url: database().url("ipam_operator") })
  await ipam.createPool({ name: "web", ranges: ["10.0.0.0/28"], includeNetworkAddresses: true })
})
afterEach(async () => {
  expect(await ipam.doctor()).toEqual([])
})
afterAll(() => ipam.close())

const DAY = 86_400
/** A UUIDv7 with a time that many days ago. */
const v7 = (daysAgo: number): string => {
  const time = Math.round(Date.now() - daysAgo * DAY * 1000)
    .toString(16)
    .padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7${crypto.randomUUID().slice(15)}`
}
/** Makes the tombstones and the operation of an id that many days older. */
const age = async (requestId: string, days: number) => {
  await owner.rows(
    `update ipam.allocation set released_at = released_at - make_interval(days => $2) where request_id = $1`,
    [requestId, days],
  )
  await owner.rows(
    `update ipam.operation set begun_at = begun_at - make_interval(days => $2), unwinding_at = unwinding_at - make_interval(days => $2),
       finished_at = finished_at - make_interval(days => $2) where operation_id = $1`,
    [requestId, days],
  )
}
/** An operation that succeeded that many days ago; the request that began it. */
const endedOperation = async (operationId: string, days: number, fields: { readonly executionId?: string } = {}) => {
  const request = {
    operationId,
    kind: "Create",
    payload: { cores: 4 },
    targets: [{ kind: "machine", id: operationId }],
    ...fields,
  }
  await ipam.beginOperation(request)
  await ipam.finishOperation({ operationId, state: "succeeded", result: { node: "n-1" } })
  await age(operationId, days)
  return request
}

test("a tombstone of an old UUIDv7 is deleted, and its key stays permanently fenced; any other tombstone stays", async () => {
  const keys = { old: v7(100), young: v7(10), random: crypto.randomUUID() }
  for (const requestId of Object.values(keys)) {
    await ipam.release({ requestId })
    await age(requestId, requestId === keys.young ? 10 : 100)
  }
  expect(await ipam.prune()).toMatchObject({ keys: 1 })
  expect(await ipam.get({ requestId: keys.old })).toBeNull()
  await expect(ipam.allocate({ pool: "web", requestId: keys.old })).rejects.toBeInstanceOf(KeyExpired)
  await expect(ipam.allocateMany({ requestId: keys.old, slots: [{ slot: "a", pool: "web" }] })).rejects.toBeInstanceOf(
    KeyExpired,
  )
  for (const requestId of [keys.young, keys.random]) {
    await expect(ipam.allocate({ pool: "web", requestId })).rejects.toBeInstanceOf(KeyReleased)
  }
  expect(await ipam.prune()).toMatchObject({ keys: 0 })
})

test("a shorter horizon permanently fences every older UUIDv7, whether its key was ever used or not", async () => {
  const [unseen, seen, younger] = [v7(40), v7(40), v7(20)]
  await ipam.release({ requestId: seen })
  await age(seen, 40)
  expect(await ipam.prune({ horizonSeconds: 30 * DAY })).toMatchObject({ keys: 1 })
  for (const requestId of [unseen, seen]) {
    await expect(ipam.allocate({ pool: "web", requestId })).rejects.toBeInstanceOf(KeyExpired)
  }
  await ipam.allocate({ pool: "web", requestId: younger })
  await ipam.release({ requestId: younger })
})

test("the generations of an address keep growing after a prune, and after a repair that follows it", async () => {
  const requestId = v7(99)
  const allocate = () => ipam.allocate({ pool: "web", requestId: crypto.randomUUID(), address: "10.0.0.9" })
  let first = await allocate()
  // The generation of this address becomes higher than that of any other.
  for (let index = 0; index < 5; index++) {
    await ipam.release({ requestId: first.requestId })
    await owner.rows("delete from ipam.allocation where request_id = $1", [first.requestId])
    first = await allocate()
  }
  await ipam.release({ requestId: first.requestId })
  // As if the key had been released before the horizon.
  await owner.rows("update ipam.allocation set request_id = $1 where request_id = $2", [requestId, first.requestId])
  await age(requestId, 99)
  expect((await ipam.prune()).keys).toBe(1)
  await owner.rows("delete from ipam.free_extent")
  expect((await ipam.doctor()).length).toBeGreaterThan(0)
  await ipam.repair()
  const second = await allocate()
  expect(second.generation).toBeGreaterThan(first.generation)
  await ipam.release({ requestId: second.requestId })
})

test("of an operation that ended long ago only the final state is kept, and a replay is answered with it", async () => {
  const request = await endedOperation(crypto.randomUUID(), 100)
  const { operationId: requestId } = request
  expect(await ipam.prune()).toMatchObject({ operations: 1, held: 0 })
  expect(await ipam.getOperation({ operationId: requestId })).toMatchObject({
    state: "succeeded",
    payload: null,
    result: null,
    targets: [],
    prunedAt: expect.any(String),
  })
  expect(await ipam.beginOperation(request)).toMatchObject({ state: "succeeded" })
  await expect(ipam.beginOperation({ ...request, payload: { cores: 5 } })).rejects.toBeInstanceOf(KeyReused)
  await expect(ipam.allocate({ pool: "web", requestId })).rejects.toBeInstanceOf(OperationEnded)
  expect(await ipam.listOperations({ kind: "machine", id: requestId })).toEqual([])
  expect(await ipam.prune()).toMatchObject({ operations: 0 })
})

test("an old operation whose id is a UUIDv7 is deleted whole, since a replay is refused by the age of its id", async () => {
  const operationId = v7(2)
  const request = await endedOperation(operationId, 100)
  expect(await ipam.prune()).toMatchObject({ operations: 1 })
  expect(await ipam.getOperation({ operationId })).toMatchObject({ prunedAt: expect.any(String) })
  const old = v7(100)
  await owner.rows("update ipam.operation set operation_id = $1, pruned_at = null where operation_id = $2", [
    old,
    operationId,
  ])
  await ipam.prune()
  expect(await ipam.getOperation({ operationId: old })).toBeNull()
  await expect(ipam.beginOperation({ ...request, operationId: old })).rejects.toBeInstanceOf(KeyExpired)
})

test("an old operation is kept whole as long as it holds an address", async () => {
  const operationId = crypto.randomUUID()
  await ipam.beginOperation({ operationId, kind: "Create", payload: null, targets: [{ kind: "machine", id: "m" }] })
  await ipam.allocate({ pool: "web", requestId: operationId })
  await ipam.finishOperation({ operationId, state: "succeeded", result: 7 })
  await age(operationId, 100)
  expect(await ipam.prune()).toMatchObject({ operations: 0, held: 1 })
  expect(await ipam.get({ requestId: operationId })).toMatchObject({ state: "confirmed" })
  expect(await ipam.getOperation({ operationId })).toMatchObject({ result: 7, prunedAt: null })
  await ipam.release({ requestId: operationId })
  expect(await ipam.prune()).toMatchObject({ operations: 1, held: 0 })
})

test("more operations than one batch are pruned; young ones stay, and a pending one older than the horizon stops the prune", async () => {
  await owner.rows(
    `insert into ipam.operation (operation_id, vrf, kind, fingerprint, state, result, begun_at, finished_at)
     select gen_random_uuid(), 'default', 'Bulk', '', 'succeeded', '1', now() - interval '101 days', now() - interval '100 days'
     from generate_series(1, 1200)`,
  )
  const young = await endedOperation(crypto.randomUUID(), 10)
  const pending = crypto.randomUUID()
  await ipam.beginOperation({
    operationId: pending,
    kind: "Create",
    payload: null,
    targets: [{ kind: "machine", id: "p" }],
  })
  expect(await ipam.prune()).toMatchObject({ operations: 1200 })
  expect(await ipam.getOperation({ operationId: young.operationId })).toMatchObject({
    payload: { cores: 4 },
    prunedAt: null,
  })
  expect(await ipam.hasPendingOperation({ kind: "machine", id: "p" })).toBe(true)

  await owner.rows("update ipam.operation set begun_at = now() - interval '100 days' where operation_id = $1", [
    pending,
  ])
  const before = await owner.rows("select * from ipam.retention")
  await expect(ipam.prune()).rejects.toThrow("an operation has been pending since")
  expect(await owner.rows("select * from ipam.retention")).toEqual(before)
  await ipam.finishOperation({ operationId: pending, state: "unwound" })
})

test.each([0, -1, DAY - 1, Number.NaN, 1e12])("a horizon of %s seconds is refused", async (horizonSeconds) => {
  await expect(ipam.prune({ horizonSeconds })).rejects.toBeInstanceOf(InvalidInput)
})
