/** Deleting an instance: running, absent, twice, or while it is created; and creating it anew afterwards. */
import * as Effect from "effect/Effect"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { InstanceCreate } from "../reference/InstanceCreate.ts"
import { InstanceDelete } from "../reference/InstanceDelete.ts"
import { addressesOf, everything } from "../aftermath.ts"
import { startInProcess, type InProcess } from "../inProcess.ts"
import { creating, idsOf, openWorld, succeeded, unwound, type World } from "../world.ts"

let world: World
let worker: InProcess
beforeAll(async () => {
  world = await openWorld()
  worker = await startInProcess(world)
})
afterAll(async () => {
  await worker?.close()
  await world?.close()
})

/** After each of these tests everything is deleted. */
afterEach(async () => {
  const { held, ...rest } = await everything(world)
  expect(rest).toEqual({
    allocations: [],
    instances: [],
    ports: new Map(),
    machines: new Map(),
    pending: [],
    doctor: [],
  })
  expect(new Set(held.map((row) => row["held"]))).toEqual(new Set(["0"]))
})

const deletion = (instance: string, request = `delete ${instance}`) => ({ request, vrf: "default", instance })
const deleting = (instance: string, request?: string) =>
  worker.run(
    Effect.match(InstanceDelete.execute(deletion(instance, request)), {
      onFailure: ({ _tag }) => _tag as string,
      onSuccess: ({ deleted }) => deleted,
    }),
  )
const stateOf = async (operationId: string) => (await world.states()).get(operationId)
const ledger = () =>
  world.session.rows("select operation_id, state, result, finished_at from ipam.operation order by sequence")

test("a running instance goes with all that it had, and the same request again says the same", async () => {
  const payload = creating("running")
  expect(await worker.create(payload)).toBe("succeeded")
  expect(await deleting("running")).toBe(true)
  expect(await stateOf((await idsOf(payload)).operationId)).toBe(
    "succeeded, released 3, instance gone, machine removed, ports 0",
  )
  const before = await ledger()
  expect(await deleting("running")).toBe(true)
  expect(await ledger()).toEqual(before)
  expect(await deleting("running", "another request")).toBe(false)
})

test("where there is no instance, that is what it says", async () => {
  expect(await deleting("nobody")).toBe(false)
  expect(await deleting("nobody")).toBe(false)
})

test("two deletions of one instance both end, and one of them found it", async () => {
  expect(await worker.create(creating("twice"))).toBe("succeeded")
  const answers = await Promise.all([deleting("twice", "one"), deleting("twice", "other")])
  expect(answers).toContain(true)
})

test.each([
  ["nic/do", "before"],
  ["nic/do", "inside"],
  ["switch/do", "before"],
  ["switch/do", "inside"],
  ["boot/do", "before"],
  ["boot/do", "inside"],
  ["saga/succeeded", "before"],
  ["saga/succeeded", "inside"],
] as const)("a creation that is held at %s, %s, is cancelled first", async (activity, phase) => {
  const payload = creating(`held at ${activity} ${phase}`)
  const { executionId, operationId } = await idsOf(payload)
  const hold = worker.hold(executionId, activity, phase)
  const created = worker.create(payload)
  await hold.reached
  const deleted = deleting(payload.instance)
  const { operationId: own } = await Effect.runPromise(InstanceDelete.ids(deletion(payload.instance)))
  await world.session.until("select from ipam.operation where operation_id = $1", [own])
  if (activity === "saga/succeeded" && phase === "inside") {
    // The ledger has its end, so that there is nothing to cancel any more.
    hold.open()
    expect([await created, await deleted]).toEqual(["succeeded", true])
  } else {
    await worker.cancel(payload)
    hold.open()
    expect([await created, await deleted]).toEqual(["FlowCancelled", false])
    expect(await stateOf(operationId)).toMatch(unwound)
  }
})

test("a creation whose machine hangs is deleted as well", async () => {
  const payload = { ...creating("hangs"), temper: "hang" as const }
  const asked = Promise.withResolvers<void>()
  world.devices.hook = (_, request) => {
    if (request.startsWith("PUT machines")) asked.resolve()
  }
  const created = worker.create(payload)
  await asked.promise
  world.devices.hook = undefined
  expect(await deleting("hangs")).toBe(false)
  // It was cancelled before the machine was given up, or after.
  expect(["FlowCancelled", "DeviceUnavailable"]).toContain(await created)
  expect(await stateOf((await idsOf(payload)).operationId)).toMatch(unwound)
})

test("a creation that already unwinds is waited for", async () => {
  const payload = creating("unwinds", "fail")
  const hold = worker.hold((await idsOf(payload)).executionId, "switch/undo", "before")
  const created = worker.create(payload)
  await hold.reached
  const deleted = deleting("unwinds")
  await worker.cancel(payload)
  hold.open()
  expect([await created, await deleted]).toEqual(["DeviceRefused", false])
})

test("with the devices down it waits until they answer", async () => {
  expect(await worker.create(creating("down"))).toBe("succeeded")
  const tried = Promise.withResolvers<void>()
  world.devices.down = true
  world.devices.hook = (when) => (when === "after" ? tried.resolve() : undefined)
  const deleted = deleting("down")
  await tried.promise
  world.devices.hook = undefined
  const [{ pending } = {}] = await world.session.rows(
    "select ipam.has_pending_operation('default', 'instance', 'down') as pending",
  )
  expect(pending).toBe(true)
  expect((await everything(world)).machines.size).toBe(1)
  world.devices.down = false
  expect(await deleted).toBe(true)
})

test("created anew under the same id it is another one, with addresses of its own", async () => {
  const first = creating("anew")
  const second = { ...first, request: "anew, again" }
  expect(await worker.create(first)).toBe("succeeded")
  expect(await worker.create(second)).toBe("InstanceExists")
  expect(await deleting("anew", "first time")).toBe(true)
  // The request that failed stays failed; a third one is a new try.
  expect(await worker.create(second)).toBe("InstanceExists")
  const third = { ...first, request: "anew, for the third time" }
  expect(await worker.create(third)).toBe("succeeded")
  expect(await worker.create(first)).toBe("succeeded")
  const { operationId } = await idsOf(third)
  expect(await stateOf(operationId)).toBe(succeeded)
  const before = await addressesOf(world, (await idsOf(first)).operationId)
  const after = await addressesOf(world, operationId)
  expect(after.map(({ address }) => address)).toEqual(before.map(({ address }) => address))
  for (const [index, { generation }] of after.entries()) {
    expect(BigInt(generation)).toBeGreaterThan(BigInt(before[index]?.generation ?? 0))
  }
  expect(await worker.run(Effect.exit(InstanceCreate.execute(third)))).toMatchObject({ _tag: "Success" })
  expect(await deleting("anew", "second time")).toBe(true)
})
