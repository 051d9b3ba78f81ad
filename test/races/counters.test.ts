/**
 * Counter shards beside transactions that stay open: calls skip the shards that another transaction has locked, and the sums stay exact.
 * Also releases beside the creation or the damage of their pool.
 */
import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { allocate, allocateMany, counts, createPool, release, releaseMany, untilBlocked } from "../harness/calls.ts"
import { address, database, first, number, owner, pool, requestId, second, span } from "../harness/fixture.ts"

const poolId = async () =>
  String((await owner.rows("select pool_id::text as id from ipam.pool where name = $1", [pool]))[0]?.["id"])
/** Locks and claims every counter shard, as a transaction does that has counted in all of them. */
const lockShards = "update ipam.pool_counter set held = held where ipam.claim_shard(pool_id, shard)"

const shards = async () =>
  (await owner.rows("select count(*)::int as n from ipam.pool_counter where pool_id = $1", [await poolId()]))[0]?.["n"]

test("a transaction that locks every counter shard of a pool blocks nobody; folding removes the additional shards", async () => {
  await createPool(owner, pool, span(0, 63))
  await owner.run(`begin; ${lockShards}`)
  const keys = Array.from({ length: 8 }, () => randomUUID())
  for (const key of keys)
    expect(await allocate(first, { pool, requestId: key })).toMatchObject({ outcome: "allocated" })
  expect(
    await allocateMany(first, requestId, [
      { slot: "a", pool },
      { slot: "b", pool, address: address(60) },
    ]),
  ).toMatchObject([{ outcome: "allocated" }, { outcome: "allocated" }])
  for (const key of keys.slice(0, 3)) expect(await release(first, key)).toMatchObject({ freed: true })
  expect(await releaseMany(first, requestId, ["a"])).toMatchObject([{ freed: true }])
  await owner.run("rollback")
  expect(await counts(owner, pool)).toMatchObject({ held: 6, free: 58 })
  expect(await shards()).toBeGreaterThan(64)
  await owner.rows("select ipam.fold_counters('default', $1)", [await poolId()])
  expect(await shards()).toBe(64)
  expect(await counts(owner, pool)).toMatchObject({ held: 6, free: 58 })
})

test("folding skips a shard that another transaction has locked", async () => {
  await createPool(owner, pool, span(0, 3))
  await owner.rows("insert into ipam.pool_counter values ('default', $1, 100, 5, 0), ('default', $1, 101, -5, 0)", [
    await poolId(),
  ])
  await second.run(`reset role; begin; ${lockShards} and shard = 100`)
  await owner.rows("select ipam.fold_counters('default', $1)", [await poolId()])
  expect(await shards()).toBe(65)
  await second.run("rollback; set role ipam_allocator")
  await owner.rows("select ipam.fold_counters('default', $1)", [await poolId()])
  expect(await shards()).toBe(64)
})

test("a pool whose shards were deleted counts with new ones", async () => {
  await createPool(owner, pool, span(0, 3))
  await owner.rows("delete from ipam.pool_counter where pool_id = $1", [await poolId()])
  await allocate(first, { pool, requestId })
  await allocate(first, { pool, requestId: randomUUID() })
  expect(await release(first, requestId)).toMatchObject({ freed: true })
  expect(await counts(owner, pool)).toMatchObject({ held: 1, free: 3 })
})

test("a release that waits for an allocate whose transaction also created the pool frees the address", async () => {
  await owner.run("begin")
  await createPool(owner, pool, span(0, 3))
  await allocate(owner, { pool, requestId })
  const released = release(first, requestId)
  const several = releaseMany(second, requestId, ["default"])
  const watch = database().session()
  await untilBlocked(watch, 2)
  await watch.end()
  await owner.run("commit")
  const freed = [await released, ...(await several)].filter((one) => one.freed)
  expect(freed).toHaveLength(1)
  expect(await counts(owner, pool)).toMatchObject({ held: 0, free: 4 })
})

test.each([
  ["its range", "delete from ipam.free_extent where pool_id = $1", "delete from ipam.range where pool_id = $1"],
  [
    "its pool",
    "delete from ipam.free_extent where pool_id = $1",
    "delete from ipam.range where pool_id = $1",
    "delete from ipam.pool_counter where pool_id = $1",
    "update ipam.pool set deleted_at = now(), size = 0 where pool_id = $1",
  ],
])(
  "a live key can be released although %s was deleted, and cooldown and generation continue in the next pool there",
  async (_, ...damage) => {
    await createPool(owner, pool, span(0, 3), { cooldownSeconds: 3600 })
    const slot = "second"
    await allocate(first, { pool, requestId })
    const held = await allocate(first, { pool, requestId, slot })
    const id = await poolId()
    for (const one of damage) await owner.rows(one, [id])
    expect(await release(first, requestId)).toMatchObject({ outcome: "released", freed: true })
    expect(await releaseMany(first, requestId, [slot])).toMatchObject([{ outcome: "released", freed: true }])
    const next = `next-${number}`
    await createPool(owner, next, span(0, 3), { cooldownSeconds: 3600 })
    expect(await counts(owner, next)).toMatchObject({ free: 2, cooling: 2 })
    const again = await allocate(first, { pool: next, requestId: randomUUID() })
    expect(BigInt(again.generation ?? 0)).toBeGreaterThan(BigInt(held.generation ?? 0))
    await owner.rows("update ipam.pool set size = 0 where pool_id = $1", [id])
  },
)
