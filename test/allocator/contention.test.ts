/** Callers that meet: held at a named point by an open transaction, never by a sleep; afterwards the doctor finds nothing. */
import { randomUUID } from "node:crypto"
import { afterEach, beforeEach, expect, test } from "vitest"
import type { Session } from "../support/database.ts"
import { useDatabase } from "../support/database.ts"

const database = useDatabase()
let owner: Session
let number = 0
/** A pool of its own for each test: `size` addresses, nothing reserved. */
let pool: string

beforeEach(() => {
  owner = database().session()
  number += 1
  pool = `pool-${number}`
})
afterEach(async () => {
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})

const create = (size: number) =>
  owner.rows("select (ipam.create_pool('default', $1, array[$2])).outcome", [
    pool,
    `10.${number}.0.0-10.${number}.0.${size - 1}`,
  ])
const allocate = async (session: Session, requestId: string, address: string | null = null) => {
  const [row] = await session.rows(
    "select outcome, host(address) as address from ipam.allocate('default', $1, $2, 'default', $3)",
    [pool, requestId, address],
  )
  return row
}
const release = async (session: Session, requestId: string) => {
  const [row] = await session.rows("select outcome, freed from ipam.release('default', $1)", [requestId])
  return row
}
/** Comes true when a session waits for a lock that another one holds. */
const someoneWaits = () =>
  owner.until(
    "select 1 from pg_stat_activity where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0 limit 1",
  )
const address = (last: number) => `10.${number}.0.${last}`

test("eight callers with one key for the last address all get it", async () => {
  const sessions = Array.from({ length: 8 }, () => database().session())
  for (let round = 0; round < 60; round += 1) {
    pool = `single-${round}`
    await owner.rows("select ipam.create_pool('default', $1, array[$2])", [pool, `10.200.${round}.1`])
    const requestId = randomUUID()
    const answers = await Promise.all(sessions.map((session) => allocate(session, requestId)))
    expect(new Set(answers.map((answer) => answer?.["address"]))).toEqual(new Set([`10.200.${round}.1`]))
    expect(answers.filter((answer) => answer?.["outcome"] === "allocated")).toHaveLength(1)
    expect(answers.filter((answer) => answer?.["outcome"] === "replayed")).toHaveLength(7)
  }
})

test.each(["commit", "rollback"])("the last address, held by a transaction that ends by %s", async (end) => {
  await create(1)
  const [first, second] = [database().session(), database().session()]
  await first.run("begin")
  expect(await allocate(first, randomUUID())).toMatchObject({ outcome: "allocated" })
  const waiting = allocate(second, randomUUID())
  await someoneWaits()
  await first.run(end)
  expect(await waiting).toMatchObject({ outcome: end === "commit" ? "exhausted" : "allocated" })
})

test.each(["commit", "rollback"])("the same key under way elsewhere, ended by %s", async (end) => {
  await create(4)
  const requestId = randomUUID()
  const [first, second] = [database().session(), database().session()]
  await first.run("begin")
  await allocate(first, requestId)
  const waiting = allocate(second, requestId)
  await someoneWaits()
  await first.run(end)
  expect(await waiting).toMatchObject({ outcome: end === "commit" ? "replayed" : "allocated" })
})

test("a release waits for the allocate of its key that has not committed, and frees what it took", async () => {
  await create(1)
  const requestId = randomUUID()
  const [first, second] = [database().session(), database().session()]
  await first.run("begin")
  await allocate(first, requestId)
  const waiting = release(second, requestId)
  await someoneWaits()
  await first.run("commit")
  expect(await waiting).toEqual({ outcome: "released", freed: true })
  expect(await allocate(first, requestId)).toMatchObject({ outcome: "key_released" })
  expect(await allocate(first, randomUUID())).toMatchObject({ outcome: "allocated", address: address(0) })
})

test("an allocate waits for the release of its key that has not committed, and then holds nothing", async () => {
  await create(1)
  const requestId = randomUUID()
  const [first, second] = [database().session(), database().session()]
  await first.run("begin")
  expect(await release(first, requestId)).toEqual({ outcome: "released", freed: false })
  const waiting = allocate(second, requestId)
  await someoneWaits()
  await first.run("commit")
  expect(await waiting).toMatchObject({ outcome: "key_released" })
  expect(await allocate(second, randomUUID())).toMatchObject({ outcome: "allocated" })
})

test.each([
  ["commit", "address_taken"],
  ["rollback", "allocated"],
])("an address asked for that another caller has under way, ended by %s", async (end, outcome) => {
  await create(8)
  const [first, second] = [database().session(), database().session()]
  await first.run("begin")
  expect(await allocate(first, randomUUID(), address(5))).toMatchObject({ outcome: "allocated" })
  const waiting = allocate(second, randomUUID(), address(5))
  await someoneWaits()
  await first.run(end)
  expect(await waiting).toMatchObject({ outcome })
})

test("an idle transaction that holds the last extent: contended within the bound, nothing written", async () => {
  await create(1)
  const [first, second] = [database().session(), database().session()]
  await first.run("begin")
  await allocate(first, randomUUID())
  const requestId = randomUUID()
  const start = performance.now()
  await expect(allocate(second, requestId)).rejects.toMatchObject({ code: "55P03" })
  expect(performance.now() - start).toBeLessThan(8000)
  expect(await owner.rows("select 1 from ipam.allocation where request_id = $1", [requestId])).toEqual([])
  await first.run("rollback")
})

test.each([
  ["commit", "range_in_use"],
  ["rollback", "removed"],
])("a range is not removed under an allocate that is under way, ended by %s", async (end, outcome) => {
  await create(4)
  const [first, second] = [database().session(), database().session()]
  await first.run("begin")
  await allocate(first, randomUUID())
  const waiting = second.rows("select (ipam.remove_range('default', $1, $2)).outcome", [
    pool,
    `${address(0)}-${address(3)}`,
  ])
  await someoneWaits()
  await first.run(end)
  expect(await waiting).toEqual([{ outcome }])
})

test("a reservation catches a release that is under way", async () => {
  await create(2)
  const requestId = randomUUID()
  const [first, second] = [database().session(), database().session()]
  await allocate(first, requestId)
  await first.run("begin")
  await release(first, requestId)
  const waiting = second.rows("select (ipam.reserve('default', $1, $2)).outcome", [pool, address(0)])
  await someoneWaits()
  await first.run("commit")
  expect(await waiting).toEqual([{ outcome: "reserved" }])
  expect(await allocate(first, randomUUID())).toMatchObject({ address: address(1) })
  expect(await allocate(first, randomUUID())).toMatchObject({ outcome: "exhausted" })
})

test("one row lock decides between confirm and reclaim", async () => {
  await create(1)
  const requestId = randomUUID()
  const [first, second] = [database().session(), database().session()]
  await first.rows("select ipam.allocate('default', $1, $2, ttl_seconds => 0.001)", [pool, requestId])
  await owner.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
    requestId,
  ])
  await first.run("begin")
  expect(await first.rows("select count(*)::int as n from ipam.reclaim_expired(10)")).toEqual([{ n: 1 }])
  const waiting = second.rows("select (ipam.confirm('default', $1)).outcome", [requestId])
  await someoneWaits()
  await first.run("commit")
  expect(await waiting).toEqual([{ outcome: "expired" }])
})

test("a caller alone gets the lowest free address, after releases below and inside a used extent too", async () => {
  await create(200)
  const session = database().session()
  const keys = Array.from({ length: 50 }, () => randomUUID())
  for (const [place, key] of keys.entries())
    expect(await allocate(session, key)).toMatchObject({ address: address(place) })
  for (const place of [33, 7, 20]) await release(session, keys[place] ?? "")
  for (const place of [7, 20, 33, 50])
    expect(await allocate(session, randomUUID())).toMatchObject({ address: address(place) })
})

test("sixteen callers with three slots each from two nearly full pools: all or none, and no deadlock", async () => {
  const pools = ["left", "right"]
  await owner.rows("select ipam.create_pool('default', 'left', array['10.201.0.0-10.201.0.19'])")
  await owner.rows("select ipam.create_pool('default', 'right', array['10.202.0.0-10.202.0.19'])")
  const call = "select outcome from ipam.allocate_many('default', $1, array['a', 'b', 'c'], array[$2, $3, $2])"
  await Promise.all(
    Array.from({ length: 16 }, async (_, caller) => {
      const session = database().session()
      for (let round = 0; round < 25; round += 1) {
        const requestId = randomUUID()
        const order = (caller + round) % 2 === 0 ? pools : pools.toReversed()
        const outcomes = (await session.rows(call, [requestId, ...order])).map((row) => row["outcome"])
        const taken = outcomes.filter((outcome) => outcome === "allocated").length
        expect([0, 3]).toContain(taken)
        if (taken === 0) expect(outcomes).toContain("exhausted")
        const released = await session.rows(
          "select freed from ipam.release_many('default', $1, array['a', 'b', 'c'])",
          [requestId],
        )
        expect(released.filter((row) => row["freed"])).toHaveLength(taken)
      }
    }),
  )
})
