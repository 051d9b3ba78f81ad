/**
 * The creation of an instance fails at each of its steps, with each action and each undo run once and twice: afterwards the world is as
 * it was before, and calls of it that arrive late change nothing.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { afterAll, beforeAll, expect, test } from "vitest"
import { layer } from "../../../src/layer.ts"
import { SagaWorker } from "../../../src/saga/SagaWorker.ts"
import { Devices } from "../datacenter/Devices.ts"
import { Instances } from "../datacenter/Instances.ts"
import { Allocator } from "../../../src/services/Allocator.ts"
import { until } from "../../harness/until.ts"
import { addressesOf, callAgain, everything } from "../aftermath.ts"
import { InstanceCreate, instanceCreate } from "../instance.ts"
import { creating, openWorld, pools, type Create, type World } from "../world.ts"

/** Which calls of the steps are made twice in a row, of which only the second answer counts. */
let twice: "no" | "do" | "undo" | "both" = "no"
/** Done between the two, once. */
let between: (() => Promise<unknown>) | undefined

const repeated = <A, E, R>(which: "do" | "undo", call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    if (twice !== which && twice !== "both") return call
    const meanwhile = between
    between = undefined
    return Effect.exit(call).pipe(
      Effect.andThen(Effect.promise(() => meanwhile?.() ?? Promise.resolve())),
      Effect.andThen(call),
    )
  })

const doubled = Layer.mergeAll(
  Layer.effect(
    Devices,
    Effect.map(Devices, (real) =>
      Devices.of({
        connect: (...given) => repeated("do", real.connect(...given)),
        disconnect: (...given) => repeated("undo", real.disconnect(...given)),
        boot: (...given) => repeated("do", real.boot(...given)),
        remove: (...given) => repeated("undo", real.remove(...given)),
      }),
    ),
  ),
  Layer.effect(
    Instances,
    Effect.map(Instances, (real) =>
      Instances.of({
        ...real,
        record: (...given) => repeated("do", real.record(...given)),
        markRunning: (...given) => repeated("do", real.markRunning(...given)),
        markGone: (...given) => repeated("undo", real.markGone(...given)),
      }),
    ),
  ),
  Layer.effect(
    Allocator,
    Effect.map(Allocator, (real) =>
      Allocator.of({ ...real, allocateMany: (request) => repeated("do", real.allocateMany(request)) }),
    ),
  ),
)

const makeWorker = () =>
  ManagedRuntime.make(
    Layer.provide(instanceCreate, doubled).pipe(
      Layer.provideMerge(Layer.mergeAll(Devices.layer(world.devices.url), Instances.layer, SagaWorker.layer())),
      Layer.provideMerge(layer({ url: world.database.url() })),
    ),
  )

let world: World
let worker: ReturnType<typeof makeWorker>

/** `succeeded`, or the tag of the error. */
const create = (payload: Create): Promise<string> =>
  worker.runPromise(
    Effect.match(InstanceCreate.execute(payload), {
      onFailure: ({ _tag }) => _tag,
      onSuccess: () => "succeeded",
    }),
  )
const createPool = (name: string, range: string) =>
  world.session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])

beforeAll(async () => {
  world = await openWorld()
  await createPool("full", "10.9.0.1-10.9.0.1")
  await world.session.rows("select from ipam.allocate('default', 'full', gen_random_uuid(), 'eth0')")
  await createPool("fenced", "10.9.1.1-10.9.1.4")
  worker = makeWorker()
  expect(await create(creating("taken"))).toBe("succeeded")
  // The switch knows these from a later generation than the ledger: somebody restored an old copy of the database.
  for (const last of [1, 2, 3, 4]) {
    await worker.runPromise(
      Devices.use((devices) =>
        devices.connect({ vrf: "default", address: `10.9.1.${last}`, generation: 999_999n }, "other"),
      ),
    )
  }
})
afterAll(async () => {
  await worker?.dispose()
  await world?.close()
})

const steps = ["record", "nic", "external", "switch", "boot"] as const

/** At which step a saga fails, and why. */
const failing: Record<
  string,
  { readonly step: (typeof steps)[number]; readonly error: string; readonly change: Partial<Create> }
> = {
  "an id that is taken": { step: "record", error: "InstanceExists", change: { instance: "taken" } },
  "a first pool that does not exist": {
    step: "nic",
    error: "UnknownPool",
    change: { pools: { ...pools, v4: "none" } },
  },
  "a second pool that is full": { step: "nic", error: "PoolExhausted", change: { pools: { ...pools, v6: "full" } } },
  "a third pool that is full": {
    step: "external",
    error: "PoolExhausted",
    change: { pools: { ...pools, external: "full" } },
  },
  "a port that the switch refuses": {
    step: "switch",
    error: "DeviceRefused",
    change: { pools: { ...pools, external: "fenced" } },
  },
  "a machine that fails": { step: "boot", error: "DeviceRefused", change: { faultMode: "fail" } },
  "a machine that answers too late": { step: "boot", error: "DeviceUnavailable", change: { faultMode: "late" } },
}

test.each(["no", "do", "undo", "both"] as const)(
  "a saga that fails at any step leaves nothing; done twice: %s",
  async (mode) => {
    twice = mode
    const before = await everything(world)
    const ends = await Promise.all(
      Object.entries(failing).map(async ([name, { step, error, change }]) => {
        const payload = { ...creating(`${name}, ${mode}`), ...change }
        expect(await create(payload), name).toBe(error)
        const done = steps.slice(0, steps.indexOf(step) + 1)
        return { name, error, payload, done, operationId: InstanceCreate.operationIdFor(payload) }
      }),
    )
    // The machine that answers late has yet to try.
    const late = ends.find(({ payload }) => payload.faultMode === "late")?.operationId ?? ""
    await until("the machine that answers late has tried", () =>
      world.devices.log.some((line) => line.startsWith(`PUT machines/${late}`)),
    )
    expect(await everything(world)).toEqual(before)

    for (const { name, error, done, operationId } of ends) {
      const [operation] = await world.session.rows(
        "select state, error ->> '_tag' as error, stuck_since from ipam.operation where operation_id = $1",
        [operationId],
      )
      expect(operation, name).toEqual({ state: "unwound", error, stuck_since: null })
      // The machine went before the ports, which the saga had for itself until then.
      const { log } = world.devices
      const removed = log.findIndex((line) => line.startsWith(`DELETE machines/${operationId}`))
      expect(removed > -1, name).toBe(done.includes("boot"))
      for (const { address } of removed > -1 ? await addressesOf(world, operationId) : []) {
        const ofPort = (line: string) => line.includes(`ports/default ${address} `)
        expect(log.slice(0, removed).findLast(ofPort), name).toMatch(/^PUT/)
        expect(log.slice(removed).find(ofPort), name).toMatch(/^DELETE/)
      }
    }

    // Somebody else gets addresses that went back; then every call arrives once more. Sagas that contended for a pool may have left its
    // lowest addresses alone, and these are given first.
    const given = (await Promise.all(ends.map(({ operationId }) => addressesOf(world, operationId)))).flat()
    const isGiven = ({ address }: { readonly address: string }) => given.some((one) => one.address === address)
    let heir = creating(`heir, ${mode}`)
    let inherited: Awaited<ReturnType<typeof addressesOf>> = []
    for (let tries = 0; !inherited.some(isGiven); tries++) {
      expect(tries).toBeLessThan(50)
      heir = creating(`heir ${tries}, ${mode}`)
      expect(await create(heir)).toBe("succeeded")
      inherited = await addressesOf(world, InstanceCreate.operationIdFor(heir))
    }
    const heirId = InstanceCreate.operationIdFor(heir)
    const settled = await everything(world)
    for (const { name, payload, done, operationId } of ends) {
      const calls = { requestId: operationId, payload, addresses: await addressesOf(world, operationId), steps: done }
      expect(await worker.runPromise(callAgain(calls, "do")), name).toEqual([])
      await worker.runPromise(callAgain(calls, "undo"))
    }
    expect(await everything(world)).toEqual(settled)
    const calls = { requestId: heirId, payload: heir, addresses: inherited, steps }
    expect(await worker.runPromise(callAgain(calls, "do"))).toEqual(steps)
    expect(await everything(world)).toEqual(settled)
  },
)

/** Lets a slot be lost, as a reconciler or a person can lose it behind the back of its operation. */
const lose = async (requestId: string, slot: string, how: string) => {
  await worker.runPromise(Allocator.use((allocator) => allocator.release({ requestId, slot })))
  await world.session.rows(`update ipam.allocation set ${how} where request_id = $1 and slot = $2`, [requestId, slot])
}

test.each([
  ["that a person released", "external/v4", "released_by = 'night shift'"],
  ["that was reclaimed", "nic/v6", "release_reason = 'expired'"],
])("a saga that has lost an address %s cannot succeed, and leaves nothing", async (_, slot, how) => {
  twice = "no"
  const payload = creating(`lost ${slot}`)
  const before = await everything(world)
  world.devices.hook = (when, request) =>
    when === "before" && request.startsWith("PUT machines/")
      ? lose(InstanceCreate.operationIdFor(payload), slot, how)
      : undefined
  expect(await create(payload)).toBe("AllocationsLost")
  world.devices.hook = undefined
  expect(await everything(world)).toEqual(before)
})

test("a saga whose calls are repeated after others took all that was left keeps what it was given first", async () => {
  await createPool("few", "10.9.2.1-10.9.2.3")
  const payload = { ...creating("between"), pools: { ...pools, v4: "few" } }
  const taken: Array<string> = []
  twice = "do"
  const takeAll = async () => {
    for (;;) {
      const [row] = await world.session.rows(
        "select outcome, host(address) as address from ipam.allocate('default', 'few', gen_random_uuid())",
      )
      if (row?.["outcome"] !== "allocated") return expect(row?.["outcome"]).toBe("exhausted")
      taken.push(String(row["address"]))
    }
  }
  // The first call that is repeated is the recording of the instance, the second one the first allocation.
  between = async () => {
    between = takeAll
  }
  expect(await create(payload)).toBe("succeeded")
  const own = (await addressesOf(world, InstanceCreate.operationIdFor(payload))).map(({ address }) => address)
  expect(own).toHaveLength(3)
  expect(taken).toHaveLength(2)
  expect(own.filter((address) => taken.includes(address))).toEqual([])
  expect(await world.doctor()).toEqual([])
})
