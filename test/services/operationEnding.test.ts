/** An operation ends together with its addresses, whoever ends it: its engine, a person, or reclaim once its own time is over. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import {
  AllocationsLost,
  connect,
  KeyExpired,
  NotFound,
  OperationEnded,
  TargetBusy,
  type Ipam,
} from "../../src/promise.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let ipam: Ipam
let owner: Session
let operationId: string
let requestId: string

beforeAll(async () => {
  owner = database().session()
  ipam = await connect({ url: database().url("ipam_operator") })
  await ipam.createPool({ name: "web", ranges: ["10.0.0.0/24"] })
  await ipam.createPool({ vrf: "red", name: "cooling", ranges: ["10.0.0.0/24"], cooldownSeconds: 3600 })
})
beforeEach(() => {
  operationId = requestId = crypto.randomUUID()
})
afterEach(async () => expect(await ipam.doctor()).toEqual([]))
afterAll(() => ipam.close())

type Beginning = Partial<Parameters<Ipam["beginOperation"]>[0]>
const begin = async (fields: Beginning = {}) =>
  ipam.beginOperation({ operationId, kind: "Create", targets: [{ kind: "machine", id: operationId }], ...fields })
const allocate = async (slot: string, ttlSeconds?: number) =>
  ipam.allocate({ pool: "web", requestId, slot, ttlSeconds })
const keys = async () =>
  owner.rows(
    `select vrf, slot, case when released_at is not null then release_reason when confirmed_at is null then 'provisional' else 'confirmed' end as state
     from ipam.allocation where request_id = $1 order by vrf, slot`,
    [requestId],
  )
const states = async () => (await keys()).map(({ slot, state }) => `${String(slot)} ${String(state)}`)
/** Lets the ttl of what the operation holds be over. */
const outliveTtl = () =>
  owner.rows("update ipam.allocation set expires_at = now() - interval '1 minute' where request_id = $1", [requestId])
/** Lets the operation's own time be over. */
const outlive = () =>
  owner.rows("update ipam.operation set expires_at = now() - interval '1 second' where operation_id = $1", [
    operationId,
  ])

describe("one that succeeds", () => {
  test("confirms what it holds, in every VRF, past its ttl too", async () => {
    await begin()
    await allocate("a")
    await allocate("b", 600)
    await ipam.allocate({ vrf: "red", pool: "cooling", requestId, ttlSeconds: 600 })
    await outliveTtl()
    const ended = await ipam.finishOperation({ operationId, state: "succeeded", result: "done" })
    expect(ended).toMatchObject({ outcome: "finished", state: "succeeded", result: "done" })
    expect(await keys()).toEqual([
      { vrf: "default", slot: "a", state: "confirmed" },
      { vrf: "default", slot: "b", state: "confirmed" },
      { vrf: "red", slot: "default", state: "confirmed" },
    ])
    expect(await ipam.reclaimExpired()).toEqual([])
  })

  test("may have given back what it took", async () => {
    await begin()
    await allocate("kept", 600)
    await allocate("spare", 600)
    await ipam.release({ requestId, slot: "spare" })
    await ipam.release({ requestId, slot: "never taken" })
    expect(await ipam.finishOperation({ operationId, state: "succeeded" })).toMatchObject({ state: "succeeded" })
    expect(await states()).toEqual(["kept confirmed", "never taken released", "spare released"])
  })

  test.each([
    ["expired", "release_reason = 'expired'"],
    ["orphaned", "release_reason = 'orphaned', released_by = 'reconciler'"],
    ["released", "release_reason = 'released', released_by = 'night shift'"],
  ])("does not, where a slot was lost as %s, and writes nothing", async (reason, how) => {
    await begin()
    await allocate("kept", 600)
    const { address } = await allocate("lost", 600)
    await ipam.release({ requestId, slot: "lost" })
    await owner.rows(`update ipam.allocation set ${how} where request_id = $1 and slot = 'lost'`, [requestId])
    const before = await owner.rows("select * from ipam.operation where operation_id = $1", [operationId])
    const error: unknown = await ipam.finishOperation({ operationId, state: "succeeded" }).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(AllocationsLost)
    expect(error).toMatchObject({ vrf: "default", requestId, count: 1, lost: [{ slot: "lost", address, reason }] })
    expect(await owner.rows("select * from ipam.operation where operation_id = $1", [operationId])).toEqual(before)
    expect(await states()).toEqual(["kept provisional", `lost ${reason}`])
    await ipam.finishOperation({ operationId, state: "unwound" })
    expect(await states()).toEqual(["kept released", `lost ${reason}`])
  })

  test("names the first twenty of those that were lost, and how many there were", async () => {
    await begin()
    const slots = Array.from({ length: 30 }, (_, slot) => ({ slot: String(slot).padStart(2, "0"), pool: "web" }))
    await ipam.allocateMany({ requestId, slots })
    await ipam.releaseAll({ requestId })
    await owner.rows("update ipam.allocation set release_reason = 'expired' where request_id = $1", [requestId])
    const error: unknown = await ipam.finishOperation({ operationId, state: "succeeded" }).catch((e: unknown) => e)
    expect(error).toMatchObject({ count: 30, lost: slots.slice(0, 20).map(({ slot }) => ({ slot })) })
    expect((error as Error).message).toMatch(/ and 10 more /)
    await ipam.finishOperation({ operationId, state: "unwound" })
  })
})

test("one that unwinds releases all that it holds, confirmed or not, in every VRF, with its cooldown", async () => {
  await begin()
  await allocate("confirmed")
  await allocate("provisional", 600)
  const cooling = await ipam.allocate({ vrf: "red", pool: "cooling", requestId })
  await ipam.finishOperation({ operationId, state: "unwound", error: "no" })
  expect(new Set((await keys()).map(({ state }) => state))).toEqual(new Set(["released"]))
  const extent =
    "select available_at > now() + interval '59 minutes' as cools from ipam.free_extent where vrf = 'red' and next = $1"
  expect(await owner.rows(extent, [cooling.address])).toEqual([{ cools: true }])
  await expect(allocate("late")).rejects.toBeInstanceOf(OperationEnded)
})

describe("a ttl", () => {
  test("does not end what an operation holds that has not ended, stuck or not", async () => {
    await begin()
    await allocate("a", 600)
    await outliveTtl()
    await owner.rows("select ipam.mark_stuck($1, 'boot', 'no answer')", [operationId])
    expect(await ipam.reclaimExpired()).toEqual([])
    expect(await owner.rows("select ipam.count_expired() as count")).toEqual([{ count: "0" }])
    expect(await ipam.doctor()).toMatchObject([
      { check: "operation outlives the ttl of its addresses", vrf: "default" },
    ])
    await ipam.finishOperation({ operationId, state: "succeeded" })
    expect(await states()).toEqual(["a confirmed"])
  })
})

describe("one with a time of its own", () => {
  test("is unwound by reclaim past it, with all that it holds, and a late call learns that", async () => {
    await begin({ expiresInSeconds: 60, vrf: "red" })
    await allocate("confirmed")
    await allocate("provisional", 600)
    expect(await ipam.reclaimExpired()).toEqual([])
    await outlive()
    expect(await ipam.reclaimExpired({ vrf: "default" })).toEqual([])
    expect(await owner.rows("select ipam.count_expired() as count")).toEqual([{ count: "2" }])
    expect((await ipam.reclaimExpired({ vrf: "red" })).map(({ slot }) => slot)).toEqual(["confirmed", "provisional"])
    expect(await states()).toEqual(["confirmed expired", "provisional expired"])
    expect(await ipam.getOperation({ operationId })).toMatchObject({
      state: "unwound",
      error: { _tag: "OperationExpired", expiresAt: expect.any(String) },
      expiresAt: expect.any(String),
    })
    await expect(allocate("late")).rejects.toMatchObject({ _tag: "OperationEnded", status: "unwound" })
    const finish = ipam.finishOperation({ vrf: "red", operationId, state: "succeeded" })
    await expect(finish).rejects.toMatchObject({ _tag: "OperationEnded", status: "unwound" })
    await expect(ipam.confirm({ requestId, slot: "provisional" })).rejects.toMatchObject({ _tag: "AllocationExpired" })
  })

  test("has that time anew with each call under it, and after its end none", async () => {
    await begin({ expiresInSeconds: 60 })
    await allocate("a", 600)
    const calls: ReadonlyArray<() => Promise<unknown>> = [
      () => begin({ expiresInSeconds: 60 }),
      () => allocate("b", 600),
      () => ipam.extend({ requestId, slot: "a", ttlSeconds: 900 }),
      () => ipam.confirm({ requestId, slot: "a" }),
      () => ipam.unwindOperation({ operationId }),
    ]
    for (const call of calls) {
      await outlive()
      await call()
      expect(await ipam.reclaimExpired(), String(call)).toEqual([])
    }
    await ipam.finishOperation({ operationId, state: "unwound" })
    await outlive()
    expect(await ipam.reclaimExpired()).toEqual([])
    expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "unwound", error: null })
  })

  test("that holds nothing is unwound as well", async () => {
    await begin({ expiresInSeconds: 60 })
    await outlive()
    expect(await ipam.reclaimExpired()).toEqual([])
    expect(await ipam.getOperation({ operationId })).toMatchObject({ state: "unwound" })
  })

  test.each([0, -1, 3_155_760_001, Number.NaN])("of %s seconds is refused", async (expiresInSeconds) => {
    await expect(begin({ expiresInSeconds })).rejects.toMatchObject({ _tag: "InvalidInput", field: "expiresInSeconds" })
    const beyond = owner.rows(
      "select ipam.begin_operation($1, 'default', 'k', null, '{default}', '{k}', '{i}', null, false, $2)",
      [operationId, expiresInSeconds],
    )
    await expect(beyond).rejects.toMatchObject({ code: "22023" })
  })
})

describe("a cancel", () => {
  test("before the beginning is not lost: begun late, it has unwound already", async () => {
    expect(await ipam.cancelOperation({ operationId, kind: "Create", error: "changed my mind" })).toMatchObject({
      outcome: "cancelled",
      state: "unwound",
      kind: "Create",
      error: "changed my mind",
      cancelledAt: expect.any(String),
    })
    expect(await begin()).toMatchObject({ outcome: "replayed", state: "unwound", error: "changed my mind" })
    await expect(allocate("a")).rejects.toMatchObject({ _tag: "OperationEnded", status: "unwound" })
    await expect(begin({ vrf: "red" })).rejects.toMatchObject({ _tag: "KeyReused", requestId })
    expect(await ipam.cancelOperation({ operationId })).toMatchObject({ outcome: "operation_ended", state: "unwound" })
  })

  test("of what is pending decides that it unwinds, once, and undoes nothing", async () => {
    await begin()
    await allocate("a")
    const cancelled = await ipam.cancelOperation({ operationId })
    expect(cancelled).toMatchObject({ outcome: "cancelled", state: "unwinding", cancelledAt: expect.any(String) })
    expect(await ipam.cancelOperation({ operationId })).toEqual({ ...cancelled, outcome: "replayed" })
    expect(await begin()).toEqual({ ...cancelled, outcome: "replayed" })
    expect(await states()).toEqual(["a confirmed"])
    await ipam.finishOperation({ operationId, state: "unwound" })
    expect(await states()).toEqual(["a released"])
  })

  test("or a resume of what has ended says so, and changes nothing", async () => {
    await begin()
    const ended = await ipam.finishOperation({ operationId, state: "succeeded" })
    expect(await ipam.cancelOperation({ operationId })).toEqual({ ...ended, outcome: "operation_ended" })
    const resume = "select outcome, state, resumed_at from ipam.resume_operation($1)"
    expect(await owner.rows(resume, [operationId])).toEqual([
      { outcome: "operation_ended", state: "succeeded", resumed_at: null },
    ])
  })

  test("of an id that is too old to begin is refused", async () => {
    const old = "00000000-0000-7000-8000-000000000001"
    await expect(ipam.cancelOperation({ operationId: old })).rejects.toBeInstanceOf(KeyExpired)
  })
})

test("a resume is recorded, and says whether the operation was stuck", async () => {
  await begin()
  const resume = async () => {
    const [row] = await owner.rows("select outcome, resumed_at from ipam.resume_operation($1)", [operationId])
    return row
  }
  expect(await resume()).toEqual({ outcome: "not_stuck", resumed_at: expect.any(Date) })
  await owner.rows("select ipam.mark_stuck($1, 'boot', 'no answer')", [operationId])
  expect(await resume()).toEqual({ outcome: "resumed", resumed_at: expect.any(Date) })
  expect(await ipam.getOperation({ operationId })).toMatchObject({
    stuck: { step: "boot" },
    resumedAt: expect.any(String),
  })
  await ipam.finishOperation({ operationId, state: "unwound" })
})

describe("calls on an operation", () => {
  test("name its home; elsewhere it is not found, and the error names the VRF that has it", async () => {
    await begin({ vrf: "red" })
    const elsewhere = { _tag: "NotFound", vrf: "default", requestId, vrfs: ["red"] }
    await expect(ipam.unwindOperation({ operationId })).rejects.toMatchObject(elsewhere)
    await expect(ipam.cancelOperation({ operationId })).rejects.toMatchObject(elsewhere)
    const finish = ipam.finishOperation({ operationId, state: "succeeded" })
    await expect(finish).rejects.toThrow(`request ${operationId}); there is one in VRF "red"`)
    for (const call of ["mark_stuck($1, 'step', 'error')", "clear_stuck($1)", "resume_operation($1)"]) {
      const [row] = await owner.rows(`select outcome, detail from ipam.${call}`, [operationId])
      expect(row, call).toEqual({ outcome: "not_found", detail: { vrfs: ["red"] } })
    }
    expect(await ipam.getOperation({ operationId })).toMatchObject({ vrf: "red", state: "pending" })
    expect(await ipam.finishOperation({ vrf: "red", operationId, state: "unwound" })).toMatchObject({ vrf: "red" })
    const nobody = ipam.unwindOperation({ operationId: crypto.randomUUID() })
    await expect(nobody).rejects.toMatchObject({ _tag: "NotFound", vrfs: [] })
    await expect(nobody).rejects.toBeInstanceOf(NotFound)
  })
})

describe("the gate", () => {
  test("can leave out one operation: a saga asks about its own target", async () => {
    const target = { kind: "machine", id: operationId }
    await begin()
    expect(await ipam.hasPendingOperation(target)).toBe(true)
    expect(await ipam.hasPendingOperation({ ...target, exceptOperationId: operationId })).toBe(false)
    expect(await ipam.pendingOperations({ ...target, exceptOperationId: operationId })).toEqual([])
    const other = crypto.randomUUID()
    await ipam.beginOperation({ operationId: other, kind: "Move", targets: [target] })
    expect(await ipam.hasPendingOperation({ ...target, exceptOperationId: operationId })).toBe(true)
    const pending = await ipam.pendingOperations({ ...target, exceptOperationId: operationId })
    expect(pending).toMatchObject([{ operationId: other, outcome: "found" }])
    for (const id of [operationId, other]) await ipam.finishOperation({ operationId: id, state: "succeeded" })
  })
})

describe("a beginning that asks to be alone", () => {
  test("is refused while others are pending on one of its targets, and lists them", async () => {
    const [busy, other] = [crypto.randomUUID(), crypto.randomUUID()]
    const targets = [
      { kind: "machine", id: busy },
      { kind: "machine", id: other },
    ]
    await ipam.beginOperation({ operationId: busy, kind: "Move", targets })
    const error: unknown = await begin({ targets, exclusive: true }).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(TargetBusy)
    expect(error).toMatchObject({
      requestId,
      count: 1,
      pending: [{ operationId: busy, vrf: "default", kind: "Move", state: "pending" }],
    })
    expect(await ipam.getOperation({ operationId })).toBeNull()
    const elsewhere = targets.map((target) => ({ vrf: "red", ...target }))
    expect(await begin({ targets: elsewhere, exclusive: true })).toMatchObject({ outcome: "begun" })
    expect(await begin({ targets: elsewhere, exclusive: true })).toMatchObject({
      outcome: "replayed",
      state: "pending",
    })
    await ipam.finishOperation({ operationId: busy, state: "succeeded" })
    const after = await ipam.beginOperation({ operationId: other, kind: "Move", targets, exclusive: true })
    expect(after).toMatchObject({ outcome: "begun" })
    for (const id of [operationId, other]) await ipam.finishOperation({ operationId: id, state: "succeeded" })
  })
})

test("the doctor names operations that nobody will end, and what to do about them", async () => {
  await begin({ expiresInSeconds: 60 })
  const ids = [operationId, crypto.randomUUID(), crypto.randomUUID()]
  for (const id of ids.slice(1)) {
    await ipam.beginOperation({ operationId: id, kind: "Create", targets: [{ kind: "machine", id }] })
  }
  const age = async (id: string | undefined, fields: string) =>
    owner.rows(`update ipam.operation set ${fields} where operation_id = $1`, [id ?? ""])
  await age(ids[0], "expires_at = now() - interval '6 minutes'")
  await age(ids[1], "stuck_since = now() - interval '2 hours', stuck_step = 'boot', stuck_error = 'no answer'")
  await age(ids[2], "begun_at = now() - interval '91 days'")
  const found = await ipam.doctor()
  expect(found.map(({ check }) => check)).toEqual([
    "operation past its expiry",
    "operation stuck",
    "operation that nobody ends",
  ])
  for (const [index, { detail }] of found.entries()) expect(detail).toContain(ids[index])
  for (const id of ids) await ipam.finishOperation({ operationId: id, state: "unwound" })
})
