/** The ledger as a control plane uses it: what is begun, found pending, and ended, and what its end refuses. */
import * as Schema from "effect/Schema"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { defineOperation } from "../../src/services/defineOperation.ts"
import {
  AmbiguousIdentity,
  connect,
  InvalidInput,
  KeyReused,
  NotFound,
  OperationEnded,
  type Ipam,
} from "../../src/promise.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let ipam: Ipam
let owner: Session

beforeAll(async () => {
  owner = database().session()
  const operator = await connect({ url: database().url("ipam_operator") })
  await operator.createPool({ name: "web", ranges: ["10.0.0.0/24"] })
  await operator.createPool({ vrf: "red", name: "web", ranges: ["10.0.0.0/24"] })
  await operator.close()
  ipam = await connect({ url: database().url("ipam_allocator") })
})
afterAll(() => ipam.close())

const anyId = () => crypto.randomUUID()
const machine = (id: string, vrf?: string) => ({ kind: "machine", id, ...(vrf === undefined ? {} : { vrf }) })
/** An operation on one new target. */
const begun = async () => {
  const operationId = anyId()
  const target = machine(operationId)
  await ipam.beginOperation({ operationId, kind: "Create", payload: { cores: 4 }, targets: [target] })
  return { operationId, target }
}

describe("a beginning", () => {
  test("with three targets writes three rows, and begun twice still three", async () => {
    const operationId = anyId()
    const targets = [machine("a"), machine("a", "red"), { kind: "network", id: "a" }]
    const request = { operationId, kind: "Create", payload: null, targets }
    const first = await ipam.beginOperation(request)
    expect(first).toMatchObject({ state: "pending", stuck: null, result: null, error: null, finishedAt: null })
    expect(await ipam.beginOperation({ ...request, targets: targets.toReversed() })).toEqual({
      ...first,
      outcome: "replayed",
    })
    expect(
      await owner.rows("select vrf, kind, id from ipam.operation_target where operation_id = $1 order by 1, 2, 3", [
        operationId,
      ]),
    ).toEqual([
      { vrf: "default", kind: "machine", id: "a" },
      { vrf: "default", kind: "network", id: "a" },
      { vrf: "red", kind: "machine", id: "a" },
    ])
  })

  test.each([
    ["kind", { kind: "Delete" }],
    ["payload", { payload: { cores: 5 } }],
    ["targets", { targets: [machine("other")] }],
  ])("with another %s under the same id is refused, and says what differs", async (part, fields) => {
    const { operationId, target } = await begun()
    const request = { operationId, kind: "Create", payload: { cores: 4 }, targets: [target] }
    const error: unknown = await ipam.beginOperation({ ...request, ...fields }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(KeyReused)
    expect(error).toMatchObject({ differs: [part] })
    expect(await ipam.getOperation({ operationId })).toMatchObject({ kind: "Create", payload: { cores: 4 } })
  })

  test("is found in whatever state it is by now", async () => {
    const { operationId, target } = await begun()
    await ipam.finishOperation({ operationId, state: "succeeded", result: { node: "n-1" } })
    const again = await ipam.beginOperation({ operationId, kind: "Create", payload: { cores: 4 }, targets: [target] })
    expect(again).toMatchObject({ state: "succeeded", result: { node: "n-1" } })
    expect(await ipam.hasPendingOperation(target)).toBe(false)
  })

  test.each([
    ["no targets", { targets: [] }],
    ["a target without an id", { targets: [{ kind: "machine", id: "" }] }],
    ["257 targets", { targets: Array.from({ length: 257 }, (_, id) => machine(String(id))) }],
    ["the nil id", { operationId: "00000000-0000-0000-0000-000000000000" }],
    ["no id", { operationId: "" }],
    ["an empty kind", { kind: "" }],
  ])("with %s is refused before anything is written", async (_, fields) => {
    const request = { operationId: anyId(), kind: "Create", payload: null, targets: [machine("x")], ...fields }
    const before = await owner.rows("select count(*) from ipam.operation")
    await expect(ipam.beginOperation(request)).rejects.toBeInstanceOf(InvalidInput)
    expect(await owner.rows("select count(*) from ipam.operation")).toEqual(before)
  })

  test("of a kind that declares its targets names them by itself; without targets it does not compile", async () => {
    const payload = Schema.Struct({ from: Schema.String, to: Schema.String })
    const Move = defineOperation({
      kind: "Move",
      payload,
      targets: ({ from, to }) => [machine(from), machine(to)],
      vrf: () => "red",
    })
    // @ts-expect-error A kind of operation without targets is no kind of operation.
    defineOperation({ kind: "Move", payload })
    // @ts-expect-error Neither is one whose targets may be none.
    defineOperation({ kind: "Move", payload, targets: () => [] })
    expect(Object.keys(Move).toSorted()).toEqual(["begin", "beginning", "kind", "payload", "readPayload"])
  })
})

describe("an end", () => {
  test.each([
    ["succeeded", { result: { node: "n-1" } }, { result: { node: "n-1" }, error: null }],
    ["unwound", { error: { _tag: "PoolExhausted" } }, { result: null, error: { _tag: "PoolExhausted" } }],
  ] as const)("%s stands together with what came of it, and is final", async (state, given, found) => {
    const { operationId } = await begun()
    const ended = await ipam.finishOperation({ operationId, state, ...given })
    expect(ended).toMatchObject({ state, ...found, finishedAt: expect.any(String) })
    expect(await ipam.finishOperation({ operationId, state, result: "other", error: "other" })).toEqual({
      ...ended,
      outcome: "replayed",
    })
    const other = state === "succeeded" ? "unwound" : "succeeded"
    await expect(ipam.finishOperation({ operationId, state: other })).rejects.toBeInstanceOf(OperationEnded)
    expect(await ipam.unwindOperation({ operationId })).toEqual({ ...ended, outcome: "operation_ended" })
    expect(await ipam.getOperation({ operationId })).toEqual({ ...ended, outcome: "found" })
  })

  test("of one that unwinds is unwound, or none", async () => {
    const { operationId, target } = await begun()
    expect(await ipam.unwindOperation({ operationId })).toMatchObject({ state: "unwinding", error: null })
    expect(await ipam.unwindOperation({ operationId })).toMatchObject({ state: "unwinding" })
    const late = ipam.finishOperation({ operationId, state: "succeeded" })
    await expect(late).rejects.toMatchObject({ _tag: "OperationEnded", status: "unwinding" })
    expect(await ipam.hasPendingOperation(target)).toBe(true)
    await ipam.finishOperation({ operationId, state: "unwound" })
    expect(await ipam.hasPendingOperation(target)).toBe(false)
  })

  test("of one never begun is not found", async () => {
    const operationId = anyId()
    await expect(ipam.finishOperation({ operationId, state: "succeeded" })).rejects.toBeInstanceOf(NotFound)
    await expect(ipam.unwindOperation({ operationId })).rejects.toBeInstanceOf(NotFound)
    expect(await ipam.getOperation({ operationId })).toBeNull()
  })

  test("cannot be written by hand without what belongs to it", async () => {
    const { operationId } = await begun()
    const set = (fields: string) =>
      owner.rows(`update ipam.operation set ${fields} where operation_id = $1`, [operationId])
    await expect(set("state = 'succeeded', finished_at = now()")).rejects.toThrow("operation_succeeded")
    await expect(set("state = 'unwound', unwinding_at = now(), finished_at = now()")).rejects.toThrow(
      "operation_unwound",
    )
    await expect(set("result = '1'")).rejects.toThrow("operation_succeeded")
    await expect(set("state = 'succeeded', result = '1'")).rejects.toThrow("operation_finished")
  })
})

describe("the gate", () => {
  test("is shut by any operation that has not ended, not only by the latest, and by one that is stuck", async () => {
    const target = machine(anyId())
    const [older, newer] = [anyId(), anyId()]
    for (const operationId of [older, newer]) {
      await ipam.beginOperation({ operationId, kind: "Create", payload: null, targets: [target] })
    }
    await ipam.finishOperation({ operationId: newer, state: "succeeded" })
    expect(await ipam.hasPendingOperation(target)).toBe(true)
    expect((await ipam.pendingOperations(target)).map(({ operationId }) => operationId)).toEqual([older])
    expect((await ipam.listOperations(target)).map(({ operationId }) => operationId)).toEqual([newer, older])

    await ipam.unwindOperation({ operationId: older })
    await owner.rows("select ipam.mark_stuck($1, 'switch/undo', 'connection refused')", [older])
    expect(await ipam.hasPendingOperation(target)).toBe(true)
    const [stuck] = await ipam.pendingOperations(target)
    expect(stuck?.stuck).toEqual({ since: expect.any(String), step: "switch/undo", error: "connection refused" })
    const marked = stuck?.stuck?.since
    await owner.rows("select ipam.mark_stuck($1, 'switch/undo', 'timeout')", [older])
    expect((await ipam.getOperation({ operationId: older }))?.stuck).toMatchObject({ since: marked, error: "timeout" })
    await ipam.finishOperation({ operationId: older, state: "unwound" })
    expect(await ipam.hasPendingOperation(target)).toBe(false)
    expect((await ipam.getOperation({ operationId: older }))?.stuck).toBeNull()
  })

  test("goes by the order of beginnings, not by the clock", async () => {
    const target = machine(anyId())
    const [first, second] = [anyId(), anyId()]
    for (const operationId of [first, second]) {
      await ipam.beginOperation({ operationId, kind: "Create", payload: null, targets: [target] })
    }
    await owner.rows("update ipam.operation set begun_at = begun_at - interval '1 hour' where operation_id = $1", [
      second,
    ])
    const [row] = await owner.rows("select operation_id from ipam.latest_operation('default', $1, $2)", [
      target.kind,
      target.id,
    ])
    expect(row).toEqual({ operation_id: second })
  })

  test("of a target of another VRF, kind or id stays open", async () => {
    const { target } = await begun()
    expect(await ipam.hasPendingOperation({ vrf: "default", ...target })).toBe(true)
    expect(await ipam.hasPendingOperation({ ...target, vrf: "red" })).toBe(false)
    expect(await ipam.hasPendingOperation({ ...target, kind: "network" })).toBe(false)
    expect(await ipam.hasPendingOperation({ ...target, id: "other" })).toBe(false)
  })

  test("is shut where it cannot be read, and the list of what is pending fails rather than being empty", async () => {
    const { target } = await begun()
    const blocker = database().session()
    await blocker.run("begin; lock table ipam.operation_target in access exclusive mode")
    const hasty = await connect({ url: database().url("ipam_allocator"), timeoutSeconds: 3 })
    try {
      const free = machine(anyId())
      const [gate, list] = await Promise.allSettled([hasty.hasPendingOperation(free), hasty.pendingOperations(target)])
      expect(gate).toEqual({ status: "fulfilled", value: true })
      expect(list.status).toBe("rejected")
    } finally {
      await blocker.run("rollback")
      await blocker.end()
      await hasty.close()
    }
  })

  test("without a VRF is of every VRF; a history must be of one, and names them otherwise", async () => {
    const id = anyId()
    const operations = [anyId(), anyId()]
    await ipam.beginOperation({
      operationId: operations[0] ?? "",
      kind: "Create",
      payload: null,
      targets: [machine(id)],
    })
    expect((await ipam.listOperations(machine(id))).length).toBe(1)
    await ipam.beginOperation({
      operationId: operations[1] ?? "",
      kind: "Create",
      payload: null,
      targets: [machine(id, "red")],
    })
    expect((await ipam.pendingOperations(machine(id))).length).toBe(2)
    const error: unknown = await ipam.listOperations(machine(id)).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(AmbiguousIdentity)
    expect(error).toMatchObject({
      candidates: [
        { vrf: "default", id },
        { vrf: "red", id },
      ],
    })
    expect((await ipam.listOperations(machine(id, "red"))).map(({ operationId }) => operationId)).toEqual([
      operations[1],
    ])
    expect(await ipam.listOperations(machine(anyId()))).toEqual([])
  })

  test("an object is identified by kind and id alone, as a target or as an owner, unless several are meant", async () => {
    const id = anyId()
    expect(await ipam.identify(machine(id))).toBeNull()
    const { requestId } = await ipam.allocate({ vrf: "red", pool: "web", requestId: anyId(), owner: machine(id) })
    expect(await ipam.identify(machine(id))).toEqual({ vrf: "red", ...machine(id) })
    const operationId = anyId()
    await ipam.beginOperation({ operationId, kind: "Create", payload: null, targets: [machine(id)] })
    const error: unknown = await ipam.identify(machine(id)).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(AmbiguousIdentity)
    expect(error).toMatchObject({ candidates: [{ vrf: "default" }, { vrf: "red" }] })
    await ipam.release({ vrf: "red", requestId })
    expect(await ipam.identify(machine(id))).toEqual({ vrf: "default", ...machine(id) })
  })

  test("a long history comes in pages", async () => {
    const target = machine(anyId())
    for (let index = 0; index < 5; index++) {
      const operationId = anyId()
      await ipam.beginOperation({ operationId, kind: "Create", payload: index, targets: [target] })
    }
    const first = await ipam.listOperations({ ...target, pageSize: 2 })
    const second = await ipam.listOperations({ ...target, pageSize: 2, before: first[1]?.sequence })
    expect([...first, ...second].map(({ payload }) => payload)).toEqual([4, 3, 2, 1])
  })
})
