/** Callers that request what another transaction has in flight: the last address, an explicit address, several at once. */
import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import {
  allocate,
  allocateMany,
  allocatorSession,
  createPool,
  release,
  releaseMany,
  untilBlocked,
} from "../harness/calls.ts"
import { address, database, first, number, owner, pool, requestId, second, span } from "../harness/fixture.ts"

const create = (size: number) => createPool(owner, pool, span(0, size - 1))

test.each([
  ["commit", "exhausted"],
  ["rollback", "allocated"],
])("a caller waits for the last address, in flight in a transaction that ends by %s", async (end, outcome) => {
  await create(1)
  await first.run("begin")
  await allocate(first, { pool, requestId: randomUUID() })
  const answer = allocate(second, { pool, requestId: randomUUID() })
  await untilBlocked(owner)
  await first.run(end)
  expect(await answer).toMatchObject({ outcome })
})

test.each([
  ["commit", "address_taken"],
  ["rollback", "allocated"],
])("a caller waits for an explicit address, in flight in a transaction that ends by %s", async (end, outcome) => {
  await create(8)
  await first.run("begin")
  await allocate(first, { pool, requestId: randomUUID(), address: address(5) })
  const answer = allocate(second, { pool, requestId: randomUUID(), address: address(5) })
  await untilBlocked(owner)
  await first.run(end)
  expect(await answer).toMatchObject({ outcome })
})

test("while an idle transaction holds the last extent, every request ends as contended after a bounded wait, and writes nothing", async () => {
  await create(1)
  await first.run("begin")
  await allocate(first, { pool, requestId: randomUUID() })
  const requestId = randomUUID()
  const calls = [
    allocate(await allocatorSession(database()), { pool, requestId }),
    allocate(await allocatorSession(database()), { pool, requestId, slot: "named", address: address(0) }),
    allocateMany(await allocatorSession(database()), requestId, [{ slot: "several", pool }]),
  ]
  for (const call of await Promise.allSettled(calls))
    expect(call).toMatchObject({ status: "rejected", reason: { code: "55P03" } })
  expect(await owner.rows("select 1 from ipam.allocation where request_id = $1", [requestId])).toEqual([])
})

test("callers that wait for two addresses in flight get the one that becomes free first", async () => {
  await createPool(owner, pool, span(0, 1))
  await first.run("begin")
  await allocate(first, { pool, requestId })
  await second.run("begin")
  await allocate(second, { pool, requestId: randomUUID() })
  const third = await allocatorSession(database())
  const answer = allocate(third, { pool, requestId: randomUUID() })
  const several = allocateMany(await allocatorSession(database()), randomUUID(), [{ slot: "a", pool }])
  await untilBlocked(owner, 2)
  await second.run("rollback")
  const outcomes = [await Promise.race([answer, several.then(([one]) => one)])]
  expect(outcomes).toMatchObject([{ outcome: "allocated", address: address(1) }])
  await first.run("rollback")
  expect(await Promise.all([answer, several])).toMatchObject([{ outcome: "allocated" }, [{ outcome: "allocated" }]])
})

test("with max_wait_seconds 0 a caller does not wait for addresses in flight", async () => {
  await createPool(owner, pool, span(0, 0))
  await first.run("begin")
  await allocate(first, { pool, requestId })
  for (const call of [
    "allocate('default', $1, gen_random_uuid()",
    "allocate_many('default', gen_random_uuid(), '{a}', array[$1]",
  ])
    await expect(second.rows(`select ipam.${call}, max_wait_seconds => 0)`, [pool])).rejects.toMatchObject({
      code: "55P03",
    })
  await expect(
    second.rows(
      "select ipam.allocate('default', $1, gen_random_uuid(), address => '10.0.0.1', max_wait_seconds => -1)",
      [pool],
    ),
  ).rejects.toMatchObject({ code: "22023" })
})

test("a caller alone gets the lowest free address, also after releases below and inside a used extent", async () => {
  await create(200)
  const keys = Array.from({ length: 50 }, () => randomUUID())
  for (const [index, requestId] of keys.entries())
    expect(await allocate(first, { pool, requestId })).toMatchObject({ address: address(index) })
  for (const index of [33, 7, 20]) await release(first, keys[index] ?? "")
  for (const last of [7, 20, 33, 50])
    expect(await allocate(first, { pool, requestId: randomUUID() })).toMatchObject({ address: address(last) })
})

test("sixteen callers that request three slots each from two almost full pools get all or none, without a deadlock", async () => {
  const other = `other-${number}`
  await createPool(owner, pool, `${address(0)}-${address(19)}`)
  await createPool(owner, other, `10.${number}.1.0-10.${number}.1.19`)
  const callers = await Promise.all(Array.from({ length: 16 }, () => allocatorSession(database())))
  const slots = ["a", "b", "c"]
  let all = 0
  let none = 0
  await Promise.all(
    callers.map(async (session, caller) => {
      for (let round = 0; round < 25; round += 1) {
        const requestId = randomUUID()
        const [left, right] = (caller + round) % 2 === 0 ? ([pool, other] as const) : ([other, pool] as const)
        const requests = slots.map((slot, index) => ({ slot, pool: index === 1 ? right : left }))
        const outcomes = (await allocateMany(session, requestId, requests)).map((answer) => answer.outcome)
        const allocated = outcomes.filter((outcome) => outcome === "allocated").length
        expect([0, 3]).toContain(allocated)
        if (allocated === 0) expect(outcomes).toContain("exhausted")
        all += allocated === 3 ? 1 : 0
        none += allocated === 0 ? 1 : 0
        const released = await releaseMany(session, requestId, slots)
        expect(released.filter((answer) => answer.freed)).toHaveLength(allocated)
      }
    }),
  )
  expect(all).toBeGreaterThan(0)
  expect(all + none).toBe(400)
})
