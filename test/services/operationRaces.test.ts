/** Two sessions that meet at an operation: the first held open by its transaction, then ended by commit or by rollback. */
import { randomUUID } from "node:crypto"
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { allocate, allocateMany, allocatorSession, createPool, get, release, untilBlocked } from "../harness/calls.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let owner: Session
let first: Session
let second: Session
let operator: Session
let operationId: string
let machine: string

beforeAll(async () => {
  owner = database().session()
  first = await allocatorSession(database())
  second = await allocatorSession(database())
  operator = database().session()
  await operator.run("set role ipam_operator")
  await createPool(owner, "web", "10.0.0.0/24")
})
beforeEach(() => {
  operationId = randomUUID()
  machine = randomUUID()
})
afterEach(async () => {
  await first.run("rollback")
  await second.run("rollback")
  await operator.run("rollback")
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})

const begin = async (
  session: Session,
  id = operationId,
  targets = [machine],
  { exclusive = false, expiresInSeconds }: { readonly exclusive?: boolean; readonly expiresInSeconds?: number } = {},
) => {
  const same = (text: string) => `{${targets.map(() => text).join(",")}}`
  const [row] = await session.rows(
    `select outcome from ipam.begin_operation(
       $1, 'default', 'Create', null, $2::text[], $3::text[], $4::text[], exclusive => $5, expires_in_seconds => $6
     )`,
    [id, same("default"), same("machine"), `{${targets.join(",")}}`, exclusive, expiresInSeconds ?? null],
  )
  return row?.["outcome"]
}
const cancel = async (session: Session) => {
  const [row] = await session.rows("select outcome, state from ipam.cancel_operation($1)", [operationId])
  return row
}
/** The slots that one round of reclaim releases. */
const reclaim = async () => (await operator.rows("select slot from ipam.reclaim_expired()")).map(({ slot }) => slot)
/** Lets the time of a row be over. */
const outlive = (table: "allocation" | "operation", id: "request_id" | "operation_id") =>
  owner.rows(`update ipam.${table} set expires_at = now() - interval '1 second' where ${id} = $1`, [operationId])
const finish = async (session: Session, state = "succeeded") => {
  const [row] = await session.rows("select outcome from ipam.finish_operation($1, $2)", [operationId, state])
  return row?.["outcome"]
}
const gate = async (session: Session) => {
  const [row] = await session.rows("select ipam.has_pending_operation('default', 'machine', $1) as shut", [machine])
  return row?.["shut"]
}

describe.each([
  ["commit", true],
  ["rollback", false],
] as const)("the first ended by %s", (end, committed) => {
  test("a gate waits for a beginning in flight", async () => {
    await first.run("begin")
    await begin(first)
    const shut = gate(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await shut).toBe(committed)
  })

  test("a beginning waits for whoever gates, and what was let through acts before it", async () => {
    await first.run("begin")
    expect(await gate(first)).toBe(false)
    const beginning = begin(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await beginning).toBe("begun")
    expect(await gate(first)).toBe(true)
  })

  test("the same beginning twice: one row, or the second takes its place", async () => {
    await first.run("begin")
    await begin(first)
    const again = begin(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await again).toBe(committed ? "replayed" : "begun")
    expect(await owner.rows("select id from ipam.operation_target where operation_id = $1", [operationId])).toEqual([
      { id: machine },
    ])
  })

  test.each(["succeeded", "unwound"])(
    "an allocate waits for an end (%s) in flight, and holds nothing after it",
    async (state) => {
      await begin(owner)
      await first.run("begin")
      await finish(first, state)
      const answer = allocate(second, { pool: "web", requestId: operationId })
      await untilBlocked(owner)
      await first.run(end)
      expect((await answer).outcome).toBe(committed ? "operation_ended" : "allocated")
    },
  )

  test("and for the decision to unwind", async () => {
    await begin(owner)
    await first.run("begin")
    await first.rows("select ipam.unwind_operation($1)", [operationId])
    const answer = allocate(second, { pool: "web", requestId: operationId })
    await untilBlocked(owner)
    await first.run(end)
    const { outcome, detail } = await answer
    expect({ outcome, detail }).toEqual(
      committed
        ? { outcome: "operation_ended", detail: { status: "unwinding" } }
        : { outcome: "allocated", detail: null },
    )
  })

  test("so does one of several slots", async () => {
    await begin(owner)
    await first.run("begin")
    await finish(first)
    const answers = allocateMany(second, operationId, [
      { slot: "a", pool: "web" },
      { slot: "b", pool: "web" },
    ])
    await untilBlocked(owner)
    await first.run(end)
    expect(new Set((await answers).map(({ outcome }) => outcome))).toEqual(
      new Set([committed ? "operation_ended" : "allocated"]),
    )
  })

  test.each([
    ["succeeded", "confirmed"],
    ["unwound", "released"],
  ])("an end (%s) waits for an allocate in flight, and what that took is %s", async (state, key) => {
    await begin(owner)
    await first.run("begin")
    await allocate(first, { pool: "web", requestId: operationId, ttlSeconds: 600 })
    const ended = finish(second, state)
    await untilBlocked(owner)
    await first.run(end)
    expect(await ended).toBe("finished")
    expect((await get(owner, operationId))?.state).toBe(committed ? key : undefined)
  })

  test("an end that succeeds waits for a release in flight, which is no loss", async () => {
    await begin(owner)
    await allocate(owner, { pool: "web", requestId: operationId, ttlSeconds: 600 })
    await first.run("begin")
    await release(first, operationId)
    const ended = finish(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await ended).toBe("finished")
    expect((await get(owner, operationId))?.state).toBe(committed ? "released" : "confirmed")
  })

  test("an end that succeeds confirms past its ttl what reclaim beside it passes over, and after it", async () => {
    await begin(owner)
    await allocate(owner, { pool: "web", requestId: operationId, ttlSeconds: 600 })
    await outlive("allocation", "request_id")
    await first.run("begin")
    expect(await finish(first)).toBe("finished")
    expect(await reclaim()).toEqual([])
    await first.run(end)
    expect(await reclaim()).toEqual([])
    expect((await get(owner, operationId))?.state).toBe(committed ? "confirmed" : "provisional")
    if (!committed) await finish(owner, "unwound")
  })

  test("reclaim in flight leaves an operation's addresses alone, so that it succeeds", async () => {
    await begin(owner)
    await allocate(owner, { pool: "web", requestId: operationId, ttlSeconds: 600 })
    await outlive("allocation", "request_id")
    await operator.run("begin")
    expect(await reclaim()).toEqual([])
    expect(await finish(second)).toBe("finished")
    await operator.run(end)
    expect((await get(owner, operationId))?.state).toBe("confirmed")
  })

  test.each([
    [
      "allocate",
      "allocated",
      async () => (await allocate(first, { pool: "web", requestId: operationId, slot: "late" })).outcome,
    ],
    ["finish", "finished", async () => finish(first)],
  ])("a late %s waits for reclaim to end its operation, and learns that", async (_, otherwise, call) => {
    await begin(owner, operationId, [machine], { expiresInSeconds: 600 })
    await allocate(owner, { pool: "web", requestId: operationId })
    await outlive("operation", "operation_id")
    await operator.run("begin")
    expect(await reclaim()).toEqual(["default"])
    const late = call()
    await untilBlocked(owner)
    await operator.run(end)
    expect(await late).toBe(committed ? "operation_ended" : otherwise)
    expect((await get(owner, operationId))?.state).toBe(committed ? "released" : "confirmed")
  })

  test.each([
    // A call under it shows that its engine lives; a release may come from anybody.
    ["an allocate", "pending", async () => allocate(first, { pool: "web", requestId: operationId, slot: "more" })],
    ["a release", "unwound", async () => release(first, operationId)],
    ["its end", "succeeded", async () => finish(first)],
  ])("reclaim passes over an operation past its time beside %s in flight", async (_, state, call) => {
    await begin(owner, operationId, [machine], { expiresInSeconds: 600 })
    await allocate(owner, { pool: "web", requestId: operationId })
    await outlive("operation", "operation_id")
    await first.run("begin")
    await call()
    expect(await reclaim()).toEqual([])
    await first.run(end)
    await reclaim()
    const [left] = await owner.rows("select state from ipam.operation where operation_id = $1", [operationId])
    expect(left).toEqual({ state: committed ? state : "unwound" })
  })

  test("of two beginnings that ask to be alone on a target the second one is refused", async () => {
    await first.run("begin")
    expect(await begin(first, operationId, [machine], { exclusive: true })).toBe("begun")
    const other = begin(second, randomUUID(), [machine], { exclusive: true })
    await untilBlocked(owner)
    await first.run(end)
    expect(await other).toBe(committed ? "target_busy" : "begun")
  })

  test("a cancel waits for the beginning in flight, and is not lost", async () => {
    await first.run("begin")
    await begin(first)
    const cancelled = cancel(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await cancelled).toEqual({ outcome: "cancelled", state: committed ? "unwinding" : "unwound" })
  })

  test("a beginning waits for the cancel in flight", async () => {
    await first.run("begin")
    expect(await cancel(first)).toEqual({ outcome: "cancelled", state: "unwound" })
    const beginning = begin(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await beginning).toBe(committed ? "replayed" : "begun")
    expect(await gate(owner)).toBe(!committed)
  })

  test("the end waits for an allocate in flight", async () => {
    await begin(owner)
    await first.run("begin")
    await allocate(first, { pool: "web", requestId: operationId })
    const ended = finish(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await ended).toBe("finished")
    const { outcome } = await allocate(owner, { pool: "web", requestId: operationId })
    expect(outcome).toBe(committed ? "replayed" : "operation_ended")
  })

  test("of two ends the first one stands", async () => {
    await begin(owner)
    await allocate(owner, { pool: "web", requestId: operationId, ttlSeconds: 600 })
    await first.run("begin")
    await finish(first, "unwound")
    const other = finish(second)
    await untilBlocked(owner)
    await first.run(end)
    expect(await other).toBe(committed ? "operation_ended" : "finished")
  })
})

test("beginnings on the same targets in another order do not deadlock", async () => {
  const targets = Array.from({ length: 8 }, () => randomUUID())
  const sessions = await Promise.all(Array.from({ length: 8 }, () => allocatorSession(database())))
  for (let round = 0; round < 10; round++) {
    const outcomes = await Promise.all(
      sessions.map((session, index) =>
        begin(session, randomUUID(), [...targets.slice(index), ...targets.slice(0, index)]),
      ),
    )
    expect(outcomes).toEqual(sessions.map(() => "begun"))
  }
  await Promise.all(sessions.map((session) => session.end()))
})

test("a beginning and cancels of one operation, all of which find none, each have an answer: 500 times", async () => {
  const others = await Promise.all([0, 1].map(() => allocatorSession(database())))
  for (let round = 0; round < 500; round++) {
    operationId = randomUUID()
    const outcomes = await Promise.all([
      begin(first),
      cancel(second).then((row) => row?.["outcome"]),
      ...others.map((session) => cancel(session).then((row) => row?.["outcome"])),
    ])
    expect(["begun", "replayed"]).toContain(outcomes[0])
    expect(outcomes.filter((outcome) => outcome === "cancelled")).toHaveLength(1)
    await owner.rows("select from ipam.finish_operation($1, 'unwound')", [operationId])
  }
})
