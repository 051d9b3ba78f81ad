/** Allocating under an operation of the ledger: possible until it has ended, and what is held replays for ever. */
import { afterAll, beforeAll, expect, test } from "vitest"
import { connect, OperationEnded, type Ipam } from "../../src/promise.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()
let ipam: Ipam

beforeAll(async () => {
  ipam = await connect({ url: database().url("ipam_operator") })
  await ipam.createPool({ name: "web", ranges: ["10.0.0.0/24"] })
})
afterAll(() => ipam.close())

const begun = async () => {
  const operationId = crypto.randomUUID()
  await ipam.beginOperation({ operationId, kind: "Create", targets: [{ kind: "machine", id: operationId }] })
  return { operationId }
}

test("under an operation that has ended nothing is allocated; a key that it holds replays", async () => {
  const { operationId: requestId } = await begun()
  const held = await ipam.allocate({ pool: "web", requestId, slot: "a" })
  await ipam.finishOperation({ operationId: requestId, state: "succeeded" })
  const late = ipam.allocate({ pool: "web", requestId, slot: "b" })
  await expect(late).rejects.toMatchObject({ _tag: "OperationEnded", requestId, status: "succeeded" })
  const slots = [
    { slot: "a", pool: "web" },
    { slot: "c", pool: "web" },
  ]
  await expect(ipam.allocateMany({ requestId, slots })).rejects.toBeInstanceOf(OperationEnded)
  expect(await ipam.allocate({ pool: "web", requestId, slot: "a" })).toEqual({ ...held, outcome: "replayed" })
  expect(await ipam.allocateMany({ requestId, slots: slots.slice(0, 1) })).toEqual([{ ...held, outcome: "replayed" }])
  expect((await ipam.list({ vrf: "default", requestId })).length).toBe(1)
})

test("nor under one that unwinds; what it holds replays, and can still be released", async () => {
  const { operationId: requestId } = await begun()
  const held = await ipam.allocate({ pool: "web", requestId, slot: "a" })
  await ipam.unwindOperation({ operationId: requestId })
  const late = ipam.allocate({ pool: "web", requestId, slot: "b" })
  await expect(late).rejects.toMatchObject({ _tag: "OperationEnded", requestId, status: "unwinding" })
  expect(await ipam.allocate({ pool: "web", requestId, slot: "a" })).toEqual({ ...held, outcome: "replayed" })
  await ipam.release({ requestId, slot: "a" })
  await expect(ipam.allocate({ pool: "web", requestId, slot: "a" })).rejects.toMatchObject({ _tag: "KeyReleased" })
  expect(await ipam.list({ requestId })).toMatchObject([{ slot: "a", state: "released" }])
})
