/** The example with a stack of compensations, its steps and its undos failing, repeated and late. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest"
import { connect, isRepeatable, type Ipam } from "../../src/promise.ts"
import { useDatabase, type Session } from "../harness/database.ts"
import { createInstance, type Run } from "./compensationFlow.ts"
import { fakeMachines, type FakeMachines } from "./machines.ts"

const database = useDatabase()
let ipam: Ipam
let session: Session
let machines: FakeMachines
let operationId: string

beforeAll(async () => {
  session = database().session()
  const operator = await connect({ url: database().url("ipam_operator") })
  await operator.createPool({ name: "v4", ranges: ["10.0.0.0/24"], cooldownSeconds: 0 })
  await operator.createPool({ name: "v6", ranges: ["fd00::/64"], cooldownSeconds: 0 })
  await operator.createPool({ name: "external", ranges: ["192.0.2.0/24"], cooldownSeconds: 0 })
  await operator.close()
  ipam = await connect({ url: database().url("ipam_allocator") })
})
afterAll(() => ipam.close())
beforeEach(() => {
  machines = fakeMachines()
  operationId = crypto.randomUUID()
})
afterEach(async () => expect(await session.rows("select * from ipam.doctor()")).toEqual([]))

/** A step that is given up, and undos that go wrong so often; by name, and whether that is before or after the effect. */
interface Trouble {
  readonly fail?: { readonly at: string; readonly when: "before" | "after" }
  readonly undosFail?: { readonly times: number; readonly when: "before" | "after" }
  readonly twice?: (name: string) => boolean
}
const failing = new Error("given up")

const runWith = ({ fail, undosFail, twice }: Trouble): Run => {
  const tries = new Map<string, number>()
  return async (name, act) => {
    const failsNow = (when: "before" | "after") => {
      const count = tries.get(name) ?? 0
      if (fail?.at === name && fail.when === when) throw failing
      if (undos.includes(name) && undosFail?.when === when && count < undosFail.times) {
        tries.set(name, count + 1)
        throw failing
      }
    }
    const once = async () => {
      for (;;) {
        try {
          return await act()
        } catch (error) {
          if (!isRepeatable(error)) throw error
        }
      }
    }
    failsNow("before")
    if (twice?.(name) === true) await once()
    const answer = await once()
    failsNow("after")
    return answer
  }
}

const steps = ["begin", "nics", "external", "boot", "finish"]
const undos = ["unwind", "remove", "unwound"]
const start = (trouble: Trouble = {}, instance = operationId) =>
  createInstance(runWith(trouble), ipam, machines, { operationId, instance })

const expectSucceeded = async (addresses: ReadonlyArray<string>) => {
  const records = await ipam.list({ requestId: operationId })
  expect(records.map(({ state }) => state)).toEqual(["confirmed", "confirmed", "confirmed"])
  expect(new Set(records.map(({ address }) => address))).toEqual(new Set(addresses))
  expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "succeeded", result: addresses })
  expect(machines.running.get(operationId)).toEqual(addresses)
}

const expectUnwound = async () => {
  const records = await ipam.list({ requestId: operationId })
  expect(records.filter(({ state }) => state !== "released")).toEqual([])
  expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "unwound" })
  expect(await ipam.hasPendingOperation({ kind: "instance", id: operationId })).toBe(false)
  expect(machines.running.has(operationId)).toBe(false)
  for (const [slot, pool] of [["nic/v4", "v4"] as const, ["external", "external"] as const]) {
    await expect(ipam.allocate({ requestId: operationId, slot, pool })).rejects.toHaveProperty(
      "_tag",
      expect.stringMatching(/^(KeyReleased|OperationEnded)$/),
    )
  }
}

test("a saga that succeeds holds and has confirmed what it answers", async () => {
  await expectSucceeded(await start())
  expect(machines.asked).toEqual({ boot: 1, remove: 0 })
})

test.each(
  steps.flatMap((at) => [
    { at, when: "before" as const },
    { at, when: "after" as const },
  ]),
)("given up $when the effect of $at, it ends in one of the two states", async (fail) => {
  if (fail.at === "finish" && fail.when === "after") return expectSucceeded(await start({ fail }))
  await expect(start({ fail })).rejects.toBe(failing)
  await expectUnwound()
})

test.each(steps)("with %s done twice, it succeeds all the same", async (step) => {
  await expectSucceeded(await start({ twice: (name) => name === step }))
})

test("a machine that does not boot leaves nothing behind", async () => {
  machines.fails = true
  await expect(start()).rejects.toThrow("it does not boot")
  await expectUnwound()
  expect(await ipam.getOperation({ operationId })).toMatchObject({ error: "Error: it does not boot" })
})

test.each(undos)("with %s done twice, it is undone all the same", async (undo) => {
  await expect(start({ fail: { at: "boot", when: "after" }, twice: (name) => name === undo })).rejects.toBe(failing)
  await expectUnwound()
})

test.each(["before", "after"] as const)(
  "undos that fail %s their effect are repeated until they are done",
  async (when) => {
    const trouble = { fail: { at: "boot", when: "after" }, undosFail: { times: 3, when } } as const
    await expect(start(trouble)).rejects.toBe(failing)
    await expectUnwound()
    expect(machines.asked.remove).toBe(when === "after" ? 4 : 1)
  },
)

test("run again from the start, with nothing recorded, it ends as it did", async () => {
  const addresses = await start()
  expect(await start()).toEqual(addresses)
  await expectSucceeded(addresses)
  operationId = crypto.randomUUID()
  await expect(start({ fail: { at: "boot", when: "after" } })).rejects.toBe(failing)
  await expect(start()).rejects.toMatchObject({ _tag: "OperationEnded", status: "unwound" })
  await expectUnwound()
})

test("run with the id of another saga, it is refused, and that one keeps what it has", async () => {
  const addresses = await start()
  await expect(start({}, "another instance")).rejects.toHaveProperty("_tag", "KeyReused")
  await expectSucceeded(addresses)
})
