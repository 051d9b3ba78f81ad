/** The services of Effect: what their answers are made of, and what can be seen of a call from outside. */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Metric from "effect/Metric"
import * as Tracer from "effect/Tracer"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Allocator } from "../../src/services/Allocator.ts"
import { Doctor } from "../../src/services/Doctor.ts"
import { layer } from "../../src/layer.ts"
import { Pools } from "../../src/services/Pools.ts"
import type { Database } from "../../src/database/Database.ts"
import { useDatabase, type TestRole } from "../harness/database.ts"

type Services = Allocator | Pools | Doctor | Database
const database = useDatabase()
const runtimes: Array<ManagedRuntime.ManagedRuntime<Services, unknown>> = []
const as = (role: TestRole) => {
  const runtime = ManagedRuntime.make(layer({ url: database().url(role) }))
  runtimes.push(runtime)
  return <A>(work: Effect.Effect<A, unknown, Services>): Promise<A> => runtime.runPromise(work)
}
let allocator: ReturnType<typeof as>
let operator: ReturnType<typeof as>

beforeAll(async () => {
  allocator = as("ipam_allocator")
  operator = as("ipam_operator")
  await pools((service) => service.createPool({ name: "web", ranges: ["10.0.0.0/24"] }))
})
afterAll(() => Promise.all(runtimes.map((runtime) => runtime.dispose())))

const calls = <A>(work: (service: Allocator["Service"]) => Effect.Effect<A, unknown>) =>
  allocator(Effect.flatMap(Allocator, work))
const pools = <A>(work: (service: Pools["Service"]) => Effect.Effect<A, unknown>) =>
  operator(Effect.flatMap(Pools, work))
const anyId = () => crypto.randomUUID()

describe("what can be seen of a call", () => {
  test("allocations are counted by outcome, and timed", async () => {
    const snapshot = await allocator(
      Effect.gen(function* () {
        const service = yield* Allocator
        const requestId = anyId()
        yield* service.allocate({ pool: "web", requestId })
        yield* service.allocate({ pool: "web", requestId })
        yield* Effect.ignore(service.allocate({ pool: "nowhere", requestId: anyId() }))
        yield* service.allocateMany({
          requestId: anyId(),
          slots: [
            { slot: "a", pool: "web" },
            { slot: "b", pool: "web" },
          ],
        })
        return yield* Metric.snapshot
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())),
    )
    const counts = snapshot
      .filter((one) => one.id === "ipam_allocations")
      .map((one) => [one.attributes?.["outcome"], one.state])
    expect(Object.fromEntries(counts)).toMatchObject({
      allocated: { count: 3 },
      replayed: { count: 1 },
      UnknownPool: { count: 1 },
    })
    const times = snapshot
      .filter((one) => one.id === "ipam_call_seconds")
      .map((one) => [one.attributes?.["call"], one.state])
    expect(Object.fromEntries(times)).toMatchObject({
      "Allocator.allocate": { count: 3 },
      "Allocator.allocateMany": { count: 1 },
    })
  })

  test("a tracer gets a span of the method's name", async () => {
    const names: Array<string> = []
    const tracer = Tracer.make({
      span: (options) => {
        names.push(options.name)
        return new Tracer.NativeSpan(options)
      },
    })
    await calls((service) => Effect.withTracer(service.get({ requestId: anyId() }), tracer))
    expect(names).toEqual(["Allocator.get"])
  })
})

describe("a list", () => {
  const owner = { kind: "instance", id: "lister" }

  test("is whole when no page size is given, and in pages that follow each other when one is", async () => {
    const requestId = anyId()
    const slots = ["a", "b", "c", "d", "e"].map((slot) => ({ slot, pool: "web" }))
    const held = await calls((service) => service.allocateMany({ requestId, owner, slots }))
    const addresses = held.map((one) => one.address)
    const whole = await calls((service) => service.list({ requestId }))
    expect(whole.map((one) => one.address)).toEqual(addresses)
    for (const filter of [{ requestId }, { owner }, { owner, vrf: "default" }]) {
      const first = await calls((service) => service.list({ ...filter, pageSize: 2 }))
      const last = first.at(-1)
      const after = { vrf: last?.vrf, address: last?.address ?? undefined, slot: last?.slot }
      const second = await calls((service) => service.list({ ...filter, pageSize: 3, after }))
      expect([...first, ...second].map((one) => one.address)).toEqual(addresses)
    }
    const inPool = await calls((service) => service.list({ pool: "web" }))
    expect(inPool.map((one) => one.address)).toEqual(expect.arrayContaining(addresses))
    expect(await calls((service) => service.list({ prefix: "10.0.0.0/24" }))).toEqual(inPool)
  })

  test("of a pool that is not there is no empty list", async () => {
    await expect(calls((service) => service.list({ pool: "nowhere" }))).rejects.toMatchObject({ _tag: "UnknownPool" })
  })
})

test("an address without a VRF that several hold is ambiguous, with all that may be meant", async () => {
  const requestId = anyId()
  for (const vrf of ["blue", "red"]) {
    await pools((service) => service.createPool({ vrf, name: "web", ranges: ["10.7.0.0/28"] }))
    await calls((service) => service.allocate({ vrf, pool: "web", requestId, address: "10.7.0.5" }))
  }
  await expect(calls((service) => service.who({ address: "10.7.0.5" }))).rejects.toMatchObject({
    _tag: "AmbiguousIdentity",
    candidates: [
      { vrf: "blue", id: requestId },
      { vrf: "red", id: requestId },
    ],
  })
  expect(await calls((service) => service.who({ vrf: "red", address: "10.7.0.5" }))).toMatchObject({ vrf: "red" })
  expect(await calls((service) => service.who({ address: "10.7.0.6" }))).toBeNull()
})

describe("a refused call on a pool", () => {
  test.each<[string, (service: Pools["Service"]) => Effect.Effect<unknown, unknown>, object]>([
    [
      "another definition",
      (service) => service.createPool({ name: "web", ranges: ["10.3.0.0/28"] }),
      { _tag: "PoolExists", pool: "web", differs: expect.arrayContaining(["ranges"]) },
    ],
    [
      "an overlap",
      (service) => service.createPool({ name: "other", ranges: ["10.0.0.8/29"] }),
      { _tag: "RangeOverlaps", other: { pool: "web" } },
    ],
    [
      "an overlapping range",
      (service) => service.addRange({ pool: "web", range: "10.0.0.4" }),
      { _tag: "RangeOverlaps" },
    ],
    [
      "a range in use",
      (service) => service.removeRange({ pool: "web", range: "10.0.0.0/24" }),
      { _tag: "RangeInUse", range: "10.0.0.0/24" },
    ],
    [
      "a range it has not",
      (service) => service.removeRange({ pool: "web", range: "10.9.0.0/29" }),
      { _tag: "NotFound", what: "range" },
    ],
    [
      "a reservation that nobody made",
      (service) => service.unreserve({ pool: "web", range: "10.0.0.0" }),
      { _tag: "NotFound", what: "reservation" },
    ],
    [
      "a reservation outside",
      (service) => service.reserve({ pool: "web", range: "10.9.0.1" }),
      { _tag: "AddressOutside", address: "10.9.0.1" },
    ],
    ["a pool in use", (service) => service.deletePool({ pool: "web" }), { _tag: "PoolInUse" }],
    ["no such pool", (service) => service.getPool({ pool: "nowhere" }), { _tag: "UnknownPool", vrfs: [] }],
    [
      "a pool of another VRF",
      (service) => service.getPool({ vrf: "green", pool: "web" }),
      { _tag: "UnknownPool", vrfs: expect.arrayContaining(["default"]) },
    ],
  ])("says why: %s", async (_, call, error) => {
    await calls((service) => service.allocate({ pool: "web", requestId: anyId() }))
    await expect(pools(call)).rejects.toMatchObject(error)
  })
})

describe("a role", () => {
  test("that allocates may not make pools, and reaches no table", async () => {
    const create = Effect.flatMap(Pools, (service) => service.createPool({ name: "mine", ranges: ["10.4.0.0/28"] }))
    await expect(allocator(create)).rejects.toMatchObject({
      _tag: "NotPermitted",
      code: "42501",
      role: "ipam_operator",
    })
    const session = database().session()
    await session.run("set role ipam_allocator")
    for (const table of ["allocation", "free_extent", "pool", "pool_counter"]) {
      await expect(session.rows(`select from ipam.${table}`)).rejects.toThrow(/permission denied/)
    }
  })

  test("that reads may not allocate", async () => {
    const reader = as("ipam_reader")
    const allocate = Effect.flatMap(Allocator, (service) => service.allocate({ pool: "web", requestId: anyId() }))
    await expect(reader(allocate)).rejects.toMatchObject({
      _tag: "NotPermitted",
      code: "42501",
      role: "ipam_allocator",
    })
    expect(await reader(Effect.flatMap(Pools, (service) => service.getPool({ pool: "web" })))).toMatchObject({
      name: "web",
    })
  })

  test("that operates may ask the doctor, who finds nothing", async () => {
    expect(await operator(Effect.flatMap(Doctor, (service) => service.doctor()))).toEqual([])
  })
})
