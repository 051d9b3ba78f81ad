/** The steps of this project, tried by `checkStep` on a real database and on the devices of the tests. */
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Allocator } from "../../../src/services/Allocator.ts"
import { layer } from "../../../src/layer.ts"
import { checkStep } from "../../../src/saga/index.ts"
import { Devices } from "../datacenter/Devices.ts"
import { startFakeDatacenter, type FakeDatacenter } from "../datacenter/fakeDatacenter.ts"
import { Instances } from "../datacenter/Instances.ts"
import { counts, createPool } from "../../harness/calls.ts"
import { useDatabase } from "../../harness/database.ts"

describe("the steps of this project are sound", () => {
  const database = useDatabase()
  let devices: FakeDatacenter
  beforeAll(async () => {
    devices = await startFakeDatacenter()
    const owner = database().session()
    await createPool(owner, "v4", "10.1.0.0-10.1.0.255")
    await createPool(owner, "v6", "fd00::/64")
  })
  afterAll(() => devices.close())

  const slots = [
    { slot: "nic/v4", pool: "v4" },
    { slot: "nic/v6", pool: "v6" },
  ]
  const taking = (allocator: Allocator["Service"]) => ({
    do: (requestId: string) =>
      Effect.map(allocator.allocateMany({ requestId, slots, ttlSeconds: 86_400 }), (allocations) =>
        // Whether it was a replay differs, and is all that may.
        allocations.map((allocation) => ({ ...allocation, outcome: "held" })),
      ),
    observe: (requestId: string) =>
      Effect.map(allocator.list({ requestId }), (records) => ({
        held: records.filter(({ state }) => state !== "released").map(({ slot }) => slot),
      })),
  })
  const onAllocator = async <A>(work: (service: Allocator["Service"]) => Effect.Effect<A>) => {
    const runtime = ManagedRuntime.make(layer({ url: database().url("ipam_allocator") }))
    const answer = await runtime.runPromise(Effect.flatMap(Allocator, work))
    await runtime.dispose()
    return answer
  }

  const onInstances = async <A>(work: (service: Instances["Service"]) => Effect.Effect<A, unknown>) => {
    const runtime = ManagedRuntime.make(Layer.provideMerge(Instances.layer, layer({ url: database().url() })))
    const answer = await runtime.runPromise(Effect.flatMap(Instances, work))
    await runtime.dispose()
    return answer
  }

  test("addresses taken and given back as allocateStep does it", async () => {
    const broken = await onAllocator((allocator) =>
      checkStep({
        ...taking(allocator),
        undo: (requestId) => allocator.releaseMany({ requestId, slots: slots.map(({ slot }) => slot) }),
      }),
    )
    expect(broken).toEqual([])
    const session = database().session()
    expect(await counts(session, "v4")).toMatchObject({ held: 0, free: 256 })
    expect(await session.rows("select 1 from ipam.allocation where released_at is null")).toEqual([])
    expect(await session.rows("select * from ipam.doctor()")).toEqual([])
  })

  test("releaseAll is no undo: it bars no key that it has not seen", async () => {
    const broken = await onAllocator((allocator) =>
      checkStep({ ...taking(allocator), undo: (requestId) => allocator.releaseAll({ requestId }) }),
    )
    expect(broken).toContain(
      "a do that came after its undo left { held: [ 'nic/v4', 'nic/v6' ] } instead of { held: [] }",
    )
  })

  test("an instance recorded and marked gone", async () => {
    const broken = await onInstances((instances) =>
      checkStep({
        do: (key) => instances.record("default", `vm ${key}`, key),
        undo: (key) => instances.markGone("default", `vm ${key}`, key),
        observe: (key) =>
          Effect.map(instances.find("default", `vm ${key}`), (found) => found && { state: found.state }),
      }),
    )
    expect(broken).toEqual([])
  })

  test("of two operations that record an instance at once, the second waits, and is told that it is taken", async () => {
    await onInstances((instances) => instances.all)
    const first = database().session()
    const record = "select reference.record('default', 'contested', $1) as recorded"
    await first.run("begin")
    expect(await first.rows(record, [randomUUID()])).toEqual([{ recorded: true }])
    const second = onInstances((instances) => instances.record("default", "contested", randomUUID()))
    await database()
      .session()
      .until(
        "select from pg_stat_activity where wait_event_type = 'Lock' and query like '%reference.record%' and datname = current_database()",
      )
    await first.run("commit")
    expect(await second).toBe(false)
  })

  const onDevices = <A>(work: (service: Devices["Service"]) => Effect.Effect<A>) =>
    Effect.runPromise(Effect.provide(Effect.flatMap(Devices, work), Devices.layer(devices.url)))

  test("a switch connected and disconnected", async () => {
    const port = (key: string) => ({ vrf: key, address: "10.0.0.1", generation: 7n })
    const broken = await onDevices((service) =>
      checkStep({
        do: (key) => service.connect(port(key), key),
        undo: (key) => service.disconnect(port(key)),
        observe: (key) => Effect.sync(() => ({ connected: devices.ports.get(`${key} 10.0.0.1`)?.instance === key })),
      }),
    )
    expect(broken).toEqual([])
  })

  test("a machine booted and removed", async () => {
    const broken = await onDevices((service) =>
      checkStep({
        do: (key) => service.boot(key, key, "ok"),
        undo: (key) => service.remove(key),
        observe: (key) => Effect.sync(() => ({ running: devices.machines.get(key)?.state === "running" })),
      }),
    )
    expect(broken).toEqual([])
  })
})
