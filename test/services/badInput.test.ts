/**
 * Bad input to the calls of the promise API on keys and pools: each field with each kind of value that it must not have is refused with
 * an `InvalidInput` that names the field, and nothing is written.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { connect, InvalidInput, type Ipam } from "../../src/promise.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let ipam: Ipam
let owner: Session
let before: unknown

/** What a write would change. Sequences are left out, since a refused call may draw a number from one. */
const contents = () =>
  owner.rows(`select (select count(*) from ipam.allocation) as allocations, (select count(*) from ipam.pool) as pools,
    (select count(*) from ipam.range) as ranges, (select count(*) from ipam.reservation) as reservations,
    (select count(*) from ipam.vrf) as vrfs, (select sum(held) from ipam.pool_counter) as held,
    (select count(*) from ipam.free_extent) as extents`)

beforeAll(async () => {
  owner = database().session()
  ipam = await connect({ url: database().url("ipam_operator") })
  await ipam.createPool({ name: "web", ranges: ["10.0.0.0/24"] })
  before = await contents()
})
afterAll(async () => {
  expect(await contents()).toEqual(before)
  await ipam.close()
})

const requestId = "0190a5b2-7c3d-4e4f-8a9b-0c1d2e3f4a5b"
const long = "x".repeat(201)
const huge = "x".repeat(1_000_000)
const name = ["", long, huge, "\0", "\ud800", 5, null, {}, ["a"]]
const range = [
  "",
  "10.0.0.1/24",
  "10.0.0.0/33",
  "10.0.0.0/-1",
  "10.0.0.9-10.0.0.1",
  "10.0.0.1-2001:db8::1",
  "10.0.0.0/24 ",
  "web",
  10,
  null,
  huge,
]
const seconds = [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e300, "60", null]

/** The values that each field must not have. */
const badValues: { readonly [field: string]: ReadonlyArray<unknown> } = {
  requestId: [
    "",
    "nonsense",
    "00000000-0000-0000-0000-000000000000",
    `${requestId} `,
    `{${requestId}}`,
    requestId.replaceAll("-", ""),
    huge,
    5,
    null,
    undefined,
  ],
  vrf: name,
  slot: name,
  pool: [...name, "99999999999999999999"],
  name: [...name, "123", undefined],
  address: [
    "",
    "10.0.0",
    "010.0.0.1",
    "0x0a.0.0.1",
    "10.0.0.1/24",
    "10.0.0.256",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "fe80::1%eth0",
    "2001:db8::g",
    167772161,
    null,
    huge,
  ],
  prefix: ["", "10.0.0.1", "10.0.0.1/24", "10.0.0.0/33", 5, null],
  owner: [
    {},
    { kind: "a" },
    { kind: "", id: "b" },
    { kind: "a", id: long },
    { kind: "a/b", id: "c" },
    { kind: "a", id: "b", extra: 1 },
    "a/b",
    null,
    [],
  ],
  ttlSeconds: seconds,
  cooldownSeconds: seconds.filter((value) => value !== 0),
  allowReserved: ["yes", 1, null],
  allowCooling: ["yes", 1, null],
  allowDraining: ["yes", 1, null],
  includeNetworkAddresses: ["yes", 1, null],
  gateway: ["", "middle", "10.0.0.1/24", "10.9.0.1", 1, null],
  ranges: [[], "10.0.0.0/24", [""], ["10.0.0.1/24"], ["10.0.0.0/24", "2001:db8::/64"], [5], null, undefined],
  reserve: ["10.0.0.1", ["10.0.0.1/24"], ["2001:db8::1"], [5], null],
  range: [...range, undefined],
  maxRows: [0, -1, 1.5, 1e9, "10", null],
  pageSize: [0, -1, 1.5, 1e9, "10", null],
  after: ["x", 5, null, { address: "nowhere" }],
}
const slotNames = [
  [],
  ["a", "a"],
  Array.from({ length: 65_537 }, (_, index) => `s${index}`),
  [""],
  [long],
  [5],
  "a",
  null,
  undefined,
]
const slotRequests = [
  [],
  [
    { slot: "a", pool: "web" },
    { slot: "a", pool: "web" },
  ],
  Array.from({ length: 257 }, (_, index) => ({ slot: `s${index}`, pool: `web${index}` })),
  [{ slot: "a" }],
  [{ pool: "web" }],
  [{ slot: "a", pool: "web", address: "10.0.0" }],
  [{ slot: "a", pool: "web", ttl: 5 }],
  [null],
  {},
  null,
  undefined,
]

type Call = (request: never) => Promise<unknown>
interface TriedCall {
  readonly call: (ipam: Ipam) => Call
  /** A request that would be accepted. */
  readonly good: Record<string, unknown>
  /** The fields to try, each with its `badValues`. */
  readonly fields: ReadonlyArray<string>
  /** The bad values of `slots`, which differ between calls. */
  readonly slots?: ReadonlyArray<unknown>
}

const holdOptions = ["owner", "ttlSeconds", "allowReserved", "allowCooling", "allowDraining"]
const key = ["vrf", "requestId", "slot"]
const onRange = { good: { pool: "web", range: "10.0.0.7" }, fields: ["vrf", "pool", "range"] }
const triedCalls: { readonly [name: string]: TriedCall } = {
  allocate: {
    call: (client) => client.allocate,
    good: { pool: "web", requestId },
    fields: [...key, "pool", "address", ...holdOptions],
  },
  allocateMany: {
    call: (client) => client.allocateMany,
    good: { requestId, slots: [{ slot: "a", pool: "web" }] },
    fields: ["vrf", "requestId", ...holdOptions],
    slots: slotRequests,
  },
  confirm: { call: (client) => client.confirm, good: { requestId }, fields: key },
  confirmMany: {
    call: (client) => client.confirmMany,
    good: { requestId, slots: ["a"] },
    fields: ["vrf", "requestId"],
    slots: slotNames,
  },
  extend: { call: (client) => client.extend, good: { requestId, ttlSeconds: 60 }, fields: [...key, "ttlSeconds"] },
  extendMany: {
    call: (client) => client.extendMany,
    good: { requestId, slots: ["a"], ttlSeconds: 60 },
    fields: ["vrf", "requestId", "ttlSeconds"],
    slots: slotNames,
  },
  release: { call: (client) => client.release, good: { requestId }, fields: key },
  releaseMany: {
    call: (client) => client.releaseMany,
    good: { requestId, slots: ["a"] },
    fields: ["vrf", "requestId"],
    slots: slotNames,
  },
  releaseAll: { call: (client) => client.releaseAll, good: { requestId }, fields: ["vrf", "requestId"] },
  reclaimExpired: { call: (client) => client.reclaimExpired, good: {}, fields: ["vrf", "maxRows"] },
  get: { call: (client) => client.get, good: { requestId }, fields: key },
  list: { call: (client) => client.list, good: {}, fields: ["vrf", "pool", "pageSize", "after"] },
  createPool: {
    call: (client) => client.createPool,
    good: { name: "other", ranges: ["10.1.0.0/24"] },
    fields: ["vrf", "name", "ranges", "reserve", "gateway", "cooldownSeconds", "includeNetworkAddresses"],
  },
  listPools: { call: (client) => client.listPools, good: {}, fields: ["vrf"] },
  addRange: {
    call: (client) => client.addRange,
    good: { pool: "web", range: "10.1.0.0/24" },
    fields: ["vrf", "pool", "range", "includeNetworkAddresses", "gateway"],
  },
  updatePool: {
    call: (client) => client.updatePool,
    good: { pool: "web", description: "changed" },
    fields: ["vrf", "pool", "cooldownSeconds"],
  },
  drain: { call: (client) => client.drain, good: { pool: "web" }, fields: ["vrf", "pool"] },
  undrain: { call: (client) => client.undrain, good: { pool: "web" }, fields: ["vrf", "pool"] },
  listReservations: {
    call: (client) => client.listReservations,
    good: { pool: "web" },
    fields: ["vrf", "pool", "pageSize", "after"],
  },
  removeRange: { call: (client) => client.removeRange, ...onRange },
  reserve: { call: (client) => client.reserve, ...onRange },
  unreserve: { call: (client) => client.unreserve, ...onRange },
}

const refusal = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (answer) => ({ accepted: answer }),
    (error: unknown) => error,
  )

describe.each(Object.entries(triedCalls))("%s", (_, { call, good, fields, slots: badSlots }) => {
  const send = (request: unknown) => refusal(call(ipam)(request as never))

  for (const field of fields) {
    test(`refuses a bad ${field} and names it`, async () => {
      expect(badValues).toHaveProperty(field)
      for (const value of badValues[field] ?? []) {
        const error = await send({ ...good, [field]: value })
        expect(error, `${field} = ${String(JSON.stringify(value)).slice(0, 60)}`).toBeInstanceOf(InvalidInput)
        expect(error).toMatchObject({ field: expect.stringMatching(new RegExp(`^${field}\\b`)) })
        expect(String(error).length).toBeLessThan(400)
      }
    })
  }

  if (badSlots !== undefined) {
    test("refuses bad slots and names them", async () => {
      for (const slots of badSlots) {
        const error = await send({ ...good, slots })
        expect(error, String(JSON.stringify(slots)).slice(0, 60)).toBeInstanceOf(InvalidInput)
        expect(error).toMatchObject({ field: expect.stringMatching(/^slots\b/) })
      }
    })
  }

  test("refuses an unknown field and names it", async () => {
    expect(await send({ ...good, ttl: 5 })).toMatchObject({ _tag: "InvalidInput", field: "ttl" })
  })

  // A call without required fields may be made without a request.
  if (Object.keys(good).length > 0) {
    test("refuses what is not a request", async () => {
      for (const request of [undefined, null, 5, "web", []]) expect(await send(request)).toBeInstanceOf(InvalidInput)
    })
  }
})

test("a list takes exactly one filter", async () => {
  expect(await refusal(ipam.list({ allVrfs: true, vrf: "blue" }))).toBeInstanceOf(InvalidInput)
  expect(await refusal(ipam.list({ allVrfs: true, pool: "web" }))).toBeInstanceOf(InvalidInput)
  expect(await refusal(ipam.list({ pool: "web", address: "10.0.0.1" }))).toBeInstanceOf(InvalidInput)
})

test("a pool that is not named by a text is refused", async () => {
  for (const value of badValues["pool"] ?? []) {
    for (const request of [{ pool: value as string }, value as { readonly pool: string }]) {
      expect(await refusal(ipam.getPool(request))).toBeInstanceOf(InvalidInput)
      expect(await refusal(ipam.deletePool(request))).toBeInstanceOf(InvalidInput)
    }
  }
})

test("a signal that is not an AbortSignal is refused", async () => {
  expect(await refusal(ipam.get({ requestId, signal: {} as AbortSignal }))).toMatchObject({
    _tag: "InvalidInput",
    field: "signal",
  })
})

test("a well-formed name of something that does not exist is an error of its own, not InvalidInput", async () => {
  const call = (request: object) => refusal(ipam.allocate({ pool: "web", requestId, ...request }))
  expect(await call({ pool: "nowhere" })).toMatchObject({ _tag: "UnknownPool", pool: "nowhere" })
  expect(await call({ vrf: "nowhere" })).toMatchObject({ _tag: "UnknownPool", vrf: "nowhere", vrfs: ["default"] })
  expect(await call({ address: "10.9.9.9" })).toMatchObject({ _tag: "AddressOutside", address: "10.9.9.9" })
  expect(await call({ address: "2001:db8::1" })).toMatchObject({ _tag: "AddressOutside" })
  expect(await call({ address: "10.0.0.0" })).toMatchObject({ _tag: "AddressReserved" })
})

test("a call at another isolation level than read committed is refused, which says so; a connection without a pooler sets its own level", async () => {
  await owner.run(`alter database ${database().name} set default_transaction_isolation = 'repeatable read'`)
  const url = database().url("ipam_operator")
  const pooled = await connect({ url, prepare: false })
  for (const call of [
    () => pooled.allocate({ pool: "web", requestId }),
    () => pooled.allocateMany({ requestId, slots: [{ slot: "a", pool: "web" }] }),
    () => pooled.release({ requestId }),
    () => pooled.releaseMany({ requestId, slots: ["a", "b"] }),
    () => pooled.releaseAll({ requestId }),
    () => pooled.confirm({ requestId }),
    () => pooled.extend({ requestId, ttlSeconds: 5 }),
    () => pooled.reclaimExpired(),
    () => pooled.createPool({ name: "other", ranges: ["10.1.0.0/24"] }),
    () => pooled.addRange({ pool: "web", range: "10.1.0.0/24" }),
    () => pooled.reserve({ pool: "web", range: "10.0.0.9" }),
  ]) {
    const error = await refusal(call())
    expect(error).toBeInstanceOf(InvalidInput)
    expect(String(error)).toContain("read committed")
  }
  await pooled.close()
  const direct = await connect({ url })
  expect(await refusal(direct.allocate({ pool: "nowhere", requestId }))).toMatchObject({ _tag: "UnknownPool" })
  await direct.close()
  await owner.run(`alter database ${database().name} reset default_transaction_isolation`)
})
