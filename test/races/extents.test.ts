/** Callers that want what another has under way: the last address, an address by name, the lowest, several at once. */
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
])("the last address, held by a transaction that ends by %s", async (end, outcome) => {
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
])("an address asked for that another caller has under way, ended by %s", async (end, outcome) => {
  await create(8)
  await first.run("begin")
  await allocate(first, { pool, requestId: randomUUID(), address: address(5) })
  const answer = allocate(second, { pool, requestId: randomUUID(), address: address(5) })
  await untilBlocked(owner)
  await first.run(end)
  expect(await answer).toMatchObject({ outcome })
})

test("an idle transaction that holds the last extent: contended within the bound, whatever is asked, nothing written", async () => {
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

test("of two addresses one is held by an idle transaction: whoever waits gets the other one when that comes free", async () => {
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

test("with max_wait_seconds 0 a caller does not wait for others' addresses", async () => {
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

test("a caller alone gets the lowest free address, after releases below and inside a used extent too", async () => {
  await create(200)
  const keys = Array.from({ length: 50 }, () => randomUUID())
  for (const [place, requestId] of keys.entries())
    expect(await allocate(first, { pool, requestId })).toMatchObject({ address: address(place) })
  for (const place of [33, 7, 20]) await release(first, keys[place] ?? "")
  for (const place of [7, 20, 33, 50])
    expect(await allocate(first, { pool, requestId: randomUUID() })).toMatchObject({ address: address(place) })
})

test("sixteen callers with three slots each from two nearly full pools: all or none, and no deadlock", async () => {
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
        const asked = slots.map((slot, place) => ({ slot, pool: place === 1 ? right : left }))
        const outcomes = (await allocateMany(session, requestId, asked)).map((answer) => answer.outcome)
        const taken = outcomes.filter((outcome) => outcome === "allocated").length
        expect([0, 3]).toContain(taken)
        if (taken === 0) expect(outcomes).toContain("exhausted")
        all += taken === 3 ? 1 : 0
        none += taken === 0 ? 1 : 0
        const released = await releaseMany(session, requestId, slots)
        expect(released.filter((answer) => answer.freed)).toHaveLength(taken)
      }
    }),
  )
  expect(all).toBeGreaterThan(0)
  expect(all + none).toBe(400)
})
