/**
 * An InstanceCreate fails at each of its steps, with each action and each undo run once and twice: afterwards the world is as it
 * was before, and calls of it that come late change nothing.
 */
import { afterAll, beforeAll, expect, test } from "vitest"
import { Allocator } from "../../../src/services/Allocator.ts"
import { Devices } from "../reference/Devices.ts"
import { until } from "../../harness/until.ts"
import { addressesOf, callAgain, everything } from "../aftermath.ts"
import { startInProcess, type InProcess } from "../inProcess.ts"
import { creating, idsOf, openWorld, pools, type Create, type World } from "../world.ts"

let world: World
let worker: InProcess

const createPool = (name: string, range: string) =>
  world.session.rows("select from ipam.create_pool('default', $1, array[$2], '{}', 'none', 0)", [name, range])

beforeAll(async () => {
  world = await openWorld()
  await createPool("full", "10.9.0.1-10.9.0.1")
  await world.session.rows("select from ipam.allocate('default', 'full', gen_random_uuid(), 'eth0')")
  await createPool("fenced", "10.9.1.1-10.9.1.4")
  worker = await startInProcess(world)
  expect(await worker.create(creating("taken"))).toBe("succeeded")
  // The switch knows these from a later generation than the ledger: somebody restored an old copy of the database.
  for (const last of [1, 2, 3, 4]) {
    await worker.run(
      Devices.use((devices) =>
        devices.connect({ vrf: "default", address: `10.9.1.${last}`, generation: 999_999n }, "other"),
      ),
    )
  }
})
afterAll(async () => {
  await worker?.close()
  await world?.close()
})

interface Failing {
  readonly node: (typeof nodes)[number] | "end"
  readonly error: string
  readonly change?: Partial<Create>
  /** Done when everything before the node is recorded. */
  readonly meanwhile?: (operationId: string) => Promise<unknown>
}

const nodes = ["record", "nic", "external", "switch", "boot"] as const
/** Lets a slot be lost, as a reconciler or a person can lose it behind the back of its operation. */
const lose = async (requestId: string, slot: string, how: string) => {
  await worker.run(Allocator.use((allocator) => allocator.release({ requestId, slot })))
  await world.session.rows(`update ipam.allocation set ${how} where request_id = $1 and slot = $2`, [requestId, slot])
}

const failing: Record<string, Failing> = {
  "an id that is taken": { node: "record", error: "InstanceExists", change: { instance: "taken" } },
  "a first pool that does not exist": {
    node: "nic",
    error: "UnknownPool",
    change: { pools: { ...pools, v4: "none" } },
  },
  "a second pool that is full": { node: "nic", error: "PoolExhausted", change: { pools: { ...pools, v6: "full" } } },
  "a third pool that is full": {
    node: "external",
    error: "PoolExhausted",
    change: { pools: { ...pools, external: "full" } },
  },
  "a port that the switch refuses": {
    node: "switch",
    error: "DeviceRefused",
    change: { pools: { ...pools, external: "fenced" } },
  },
  "a machine that fails": { node: "boot", error: "DeviceRefused", change: { temper: "fail" } },
  "a machine that answers too late": { node: "boot", error: "DeviceUnavailable", change: { temper: "late" } },
  "an address that a person released": {
    node: "end",
    error: "AllocationsLost",
    meanwhile: (requestId) => lose(requestId, "external/v4", "released_by = 'night shift'"),
  },
  "an address that was reclaimed": {
    node: "end",
    error: "AllocationsLost",
    meanwhile: (requestId) => lose(requestId, "nic/v6", "release_reason = 'expired'"),
  },
}

/** The first is what the others must come to as well. */
const modes = {
  "once each": /^$/,
  "each action twice": /\/do$/,
  "each undo twice": /\/undo$/,
  "everything twice": /./,
} as const

test.each(Object.entries(modes))("a flow that fails at any step leaves nothing: %s", async (mode, twice) => {
  const before = await everything(world)
  const ends = await Promise.all(
    Object.entries(failing).map(async ([name, { node, error, change, meanwhile }]) => {
      const payload = { ...creating(`${name}, ${mode}`), ...change }
      const { executionId, operationId } = await idsOf(payload)
      worker.twice(executionId, twice)
      const hold = meanwhile && worker.hold(executionId, node === "end" ? "saga/succeeded" : `${node}/do`, "before")
      void hold?.reached.then(() => meanwhile?.(operationId)).then(hold.open)
      const answer = await worker.create(payload)
      expect(answer, name).toBe(error)
      return { name, node, error, meanwhile, payload, executionId, operationId }
    }),
  )
  // The machine that answers late has yet to try.
  const late = ends.find(({ payload }) => payload.temper === "late")?.operationId ?? ""
  await until("the machine that answers late has tried", () =>
    world.devices.log.some((line) => line.startsWith(`PUT machines/${late}`)),
  )
  expect(await everything(world)).toEqual(before)

  for (const { name, node, error, meanwhile, executionId, operationId } of ends) {
    const [operation] = await world.session.rows(
      "select state, error ->> '_tag' as error, stuck_since from ipam.operation where operation_id = $1",
      [operationId],
    )
    expect(operation, name).toEqual({ state: "unwound", error, stuck_since: null })
    const done = node === "end" ? nodes : nodes.slice(0, nodes.indexOf(node) + 1)
    expect(worker.done(executionId), name).toEqual([
      "saga/begin",
      ...done.map((step) => `${step}/do`),
      ...(node === "end" ? ["saga/succeeded"] : []),
      "saga/unwind",
      ...done.toReversed().map((step) => `${step}/undo`),
      "saga/unwound",
    ])
    const addresses = await addressesOf(world, operationId)
    const releasedAt = (step: string) =>
      addresses.filter((one) => one.step === step).map((one) => String(one.released_at))
    if (meanwhile === undefined) {
      for (const last of releasedAt("external")) for (const at of releasedAt("nic")) expect(at > last, name).toBe(true)
    }
    // The machine went before the ports, which the flow had for itself until then.
    const log = world.devices.log
    const removed = log.findIndex((line) => line.startsWith(`DELETE machines/${operationId}`))
    expect(removed > -1, name).toBe(done.includes("boot"))
    for (const { address } of removed > -1 && meanwhile === undefined ? addresses : []) {
      const ofPort = (line: string) => line.includes(`ports/default ${address} `)
      expect(log.slice(0, removed).findLast(ofPort), name).toMatch(/^PUT/)
      expect(log.slice(removed).find(ofPort), name).toMatch(/^DELETE/)
    }
  }

  // Somebody else gets the addresses that went back; then every call comes once more.
  const heir = creating(`heir, ${mode}`)
  worker.twice((await idsOf(heir)).executionId, twice)
  expect(await worker.create(heir)).toBe("succeeded")
  const inherited = await addressesOf(world, (await idsOf(heir)).operationId)
  const given = (await Promise.all(ends.map(({ operationId }) => addressesOf(world, operationId)))).flat()
  for (const { address } of inherited) expect(given.map((one) => one.address)).toContain(address)
  const settled = await everything(world)
  for (const { name, payload } of ends) {
    expect(await callAgain(worker, world, payload, "do"), name).toEqual([])
    await callAgain(worker, world, payload, "undo")
  }
  expect(await everything(world)).toEqual(settled)
  expect(await callAgain(worker, world, heir, "do")).toEqual(nodes)
  expect(await everything(world)).toEqual(settled)
})

test("a flow whose actions are repeated after others took all that was left keeps what it took first", async () => {
  await createPool("few", "10.9.2.1-10.9.2.3")
  const payload = creating("between", "ok")
  const { executionId, operationId } = await idsOf(payload)
  const taken: Array<string> = []
  const others = async () => {
    for (;;) {
      const [row] = await world.session.rows(
        "select outcome, host(address) as address from ipam.allocate('default', 'few', gen_random_uuid())",
      )
      if (row?.["outcome"] !== "allocated") return expect(row?.["outcome"]).toBe("exhausted")
      taken.push(String(row["address"]))
    }
  }
  worker.twice(executionId, /^(?!record).*\/do$/, others)
  expect(await worker.create({ ...payload, pools: { ...pools, v4: "few", external: "external" } })).toBe("succeeded")
  const own = (await addressesOf(world, operationId)).map(({ address }) => address)
  expect(own).toHaveLength(3)
  expect(taken).toHaveLength(2)
  expect(own.filter((address) => taken.includes(address))).toEqual([])
  expect(await world.doctor()).toEqual([])
})
