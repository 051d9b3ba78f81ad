/** Two sessions that meet at an operation: the first held open by its transaction, then ended by commit or by rollback. */
import { randomUUID } from "node:crypto"
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { allocate, allocateMany, allocatorSession, createPool, waiting } from "../harness/calls.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let owner: Session
let first: Session
let second: Session
let operationId: string
let machine: string

beforeAll(async () => {
  owner = database().session()
  first = await allocatorSession(database())
  second = await allocatorSession(database())
  await createPool(owner, "web", "10.0.0.0/24")
})
beforeEach(() => {
  operationId = randomUUID()
  machine = randomUUID()
})
afterEach(async () => {
  await first.run("rollback")
  await second.run("rollback")
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})

const begin = async (session: Session, id = operationId, targets = [machine]) => {
  const same = (text: string) => `{${targets.map(() => text).join(",")}}`
  const [row] = await session.rows(
    "select outcome from ipam.begin_operation($1, 'default', 'Create', null, $2::text[], $3::text[], $4::text[])",
    [id, same("default"), same("machine"), `{${targets.join(",")}}`],
  )
  return row?.["outcome"]
}
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
  test("a gate waits for a beginning under way", async () => {
    await first.run("begin")
    await begin(first)
    const shut = gate(second)
    await waiting(owner)
    await first.run(end)
    expect(await shut).toBe(committed)
  })

  test("a beginning waits for whoever gates, and what was let through acts before it", async () => {
    await first.run("begin")
    expect(await gate(first)).toBe(false)
    const beginning = begin(second)
    await waiting(owner)
    await first.run(end)
    expect(await beginning).toBe("begun")
    expect(await gate(first)).toBe(true)
  })

  test("the same beginning twice: one row, or the second takes its place", async () => {
    await first.run("begin")
    await begin(first)
    const again = begin(second)
    await waiting(owner)
    await first.run(end)
    expect(await again).toBe(committed ? "replayed" : "begun")
    expect(await owner.rows("select id from ipam.operation_target where operation_id = $1", [operationId])).toEqual([
      { id: machine },
    ])
  })

  test("an allocate waits for the end under way, and holds nothing after it", async () => {
    await begin(owner)
    await first.run("begin")
    await finish(first)
    const answer = allocate(second, { pool: "web", requestId: operationId })
    await waiting(owner)
    await first.run(end)
    expect((await answer).outcome).toBe(committed ? "operation_ended" : "allocated")
  })

  test("so does one of several slots", async () => {
    await begin(owner)
    await first.run("begin")
    await finish(first)
    const answers = allocateMany(second, operationId, [
      { slot: "a", pool: "web" },
      { slot: "b", pool: "web" },
    ])
    await waiting(owner)
    await first.run(end)
    expect(new Set((await answers).map(({ outcome }) => outcome))).toEqual(
      new Set([committed ? "operation_ended" : "allocated"]),
    )
  })

  test("the end waits for an allocate under way", async () => {
    await begin(owner)
    await first.run("begin")
    await allocate(first, { pool: "web", requestId: operationId })
    const ended = finish(second)
    await waiting(owner)
    await first.run(end)
    expect(await ended).toBe("finished")
    const { outcome } = await allocate(owner, { pool: "web", requestId: operationId })
    expect(outcome).toBe(committed ? "replayed" : "operation_ended")
  })

  test("of two ends the first one stands", async () => {
    await begin(owner)
    await first.run("begin")
    await finish(first, "unwound")
    const other = finish(second)
    await waiting(owner)
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
