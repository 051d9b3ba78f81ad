/** Upkeep: which extents it merges, beside whom, in which order, and what it forgets. Each test ends with the doctor. */
import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import { allocate, allocatorSession, counts, createPool, release, upkeep } from "../harness/calls.ts"
import { address, database, first, number, owner, pool, second, span } from "../harness/fixture.ts"

/** The extents of the pool, as `first-last`, with what is not as usual. */
const extents = async () =>
  (
    await owner.rows(
      `select concat_ws(' ', host(e.next) || '-' || host(e.last), nullif(e.available_at, '-infinity'), case when e.draining then 'draining' end) as extent
       from ipam.free_extent e join ipam.pool p using (vrf, pool_id) where p.name = $1 order by e.last`,
      [pool],
    )
  ).map((row) => row["extent"])
const take = async (last: number, options: { readonly allowReserved?: boolean } = {}) => {
  const requestId = randomUUID()
  expect(
    await allocate(second, { pool, requestId, address: address(last), allowCooling: true, ...options }),
  ).toMatchObject({
    outcome: "allocated",
  })
  return requestId
}
/** Every address below `size` in an extent of its own, and each with another generation. */
const fragment = async (size: number, options: { readonly allowReserved?: boolean } = {}) => {
  const keys: Array<string> = []
  for (let last = 0; last < size; last += 1) {
    for (let times = 0; times < last % 3; times += 1) await release(second, await take(last, options))
    keys.push(await take(last, options))
  }
  for (const key of keys) await release(second, key)
}
/** So long that a sixty-fourth of it holds 16 addresses; and nothing is left to be merged in the pools of other tests. */
const create = async (options: Parameters<typeof createPool>[3] = {}) => {
  while ((await upkeep(owner)) > 0);
  expect(await createPool(owner, pool, `10.${number}.0.0-10.${number}.3.255`, options)).toBe("created")
  return extents()
}

test("merges what releases left, and the larger generation stays", async () => {
  const whole = await create()
  await fragment(40)
  expect(await extents()).toHaveLength(whole.length + 38)
  expect(await upkeep(owner)).toBe(38)
  expect(await extents()).toEqual(whole)
  expect(await upkeep(owner)).toBe(0)
  // Each address was allocated at most three times; one of the first sixteen was three times.
  expect(await allocate(second, { pool, requestId: randomUUID() })).toMatchObject({ generation: "4" })
})

test("merges what is past its cooldown, and nothing that cools", async () => {
  const whole = await create({ cooldownSeconds: 3600 })
  await fragment(16)
  const cooling = await extents()
  expect(await upkeep(owner)).toBe(0)
  expect(await extents()).toEqual(cooling)
  await owner.rows(
    "update ipam.free_extent set available_at = available_at - interval '2 hours' where available_at > '-infinity' and last < $1",
    [address(16)],
  )
  expect(await upkeep(owner)).toBe(15)
  expect(await extents()).toEqual(whole)
})

test("merges reserved and draining extents among themselves", async () => {
  await create({ reserve: span(0, 15) })
  const whole = await extents()
  await fragment(16, { allowReserved: true })
  expect(await extents()).not.toEqual(whole)
  await upkeep(owner)
  expect(await extents()).toEqual(whole)
  expect(await counts(owner, pool)).toMatchObject({ reserved: 16 })

  const held = await take(20)
  await owner.rows("select ipam.set_draining('default', $1, true)", [pool])
  const draining = await extents()
  await release(second, held)
  expect(await upkeep(owner)).toBe(2)
  expect(await extents()).toHaveLength(draining.length - 1)
  expect((await extents()).every((extent) => String(extent).endsWith("draining"))).toBe(true)
})

test("takes its steps over what cannot be merged, however few extents it may read at once", async () => {
  const whole = await create()
  const held: Array<string> = []
  for (let last = 0; last < 32; last += 2) held.push(await take(last))
  const between = await extents()
  await fragmentAbove(32)
  expect(await extents()).not.toEqual(between)
  while ((await upkeep(owner, 5)) > 0);
  expect(await extents()).toEqual(between)
  for (const key of held) await release(second, key)
  while ((await upkeep(owner, 6)) > 0);
  expect(await extents()).toEqual(whole)
})
const fragmentAbove = async (from: number) => {
  const keys: Array<string> = []
  for (let last = from; last < from + 16; last += 1) keys.push(await take(last))
  for (const key of keys) await release(second, key)
}

test("a transaction of upkeep that stays open is in nobody's way but who wants what it merges", async () => {
  const other = `other-${number}`
  await create()
  await createPool(owner, other, `10.${number}.4.0-10.${number}.4.3`)
  await fragment(16)
  const held = await take(100)
  const operator = database().session()
  await operator.run("begin")
  expect(await upkeep(operator)).toBe(15)
  // It locked the extents of the first sixteen addresses alone.
  for (const wanted of [
    { pool },
    { pool },
    { pool, address: address(200) },
    { pool: other },
    { pool: other, address: `10.${number}.4.3` },
  ])
    expect(await allocate(second, { ...wanted, requestId: randomUUID() })).toMatchObject({ outcome: "allocated" })
  await release(second, held)
  await operator.run("rollback")
  expect(await extents()).toContain(`${address(3)}-${address(3)}`)
  await operator.end()
})

test.each(["commit", "rollback"])("passes over what an allocation has in flight, ended by %s", async (end) => {
  const whole = await create()
  await fragment(16)
  await first.run("begin")
  const requestId = randomUUID()
  await allocate(first, { pool, requestId, address: address(7) })
  expect(await upkeep(owner)).toBe(13)
  await first.run(end)
  expect(await extents()).toContain(`${address(0)}-${address(6)}`)
  await release(second, requestId)
  await upkeep(owner)
  expect(await extents()).toEqual(whole)
})

test("two rounds at once merge each run once", async () => {
  const whole = await create()
  await fragment(48)
  const sessions = [1, 2, 3].map(() => database().session())
  const fewer = await Promise.all(sessions.map((session) => upkeep(session, 5)))
  await upkeep(owner)
  expect(await extents()).toEqual(whole)
  expect(Math.max(...fewer)).toBeGreaterThan(0)
  await Promise.all(sessions.map((session) => session.end()))
})

test("passes over pools with few extents, and forgets what was parked once its cooldown has passed", async () => {
  await create({ cooldownSeconds: 3600 })
  await release(second, await take(5))
  await release(second, await take(6))
  await owner.rows("select ipam.delete_pool('default', $1)", [pool])
  await owner.rows("update ipam.parked_extent set available_at = clock_timestamp() where first = $1", [address(5)])
  expect(await owner.rows("select fewer, vrf from ipam.upkeep(min_extents => 10000)")).toEqual([
    { fewer: 1, vrf: null },
  ])
  expect(
    await owner.rows("select host(first) as first from ipam.parked_extent where first >= $1", [address(0)]),
  ).toEqual([{ first: address(6) }])
})

test("is refused to an allocator, outside of read committed, and with limits that are none", async () => {
  const allocator = await allocatorSession(database())
  await expect(upkeep(allocator)).rejects.toMatchObject({ code: "42501" })
  await expect(owner.rows("select ipam.upkeep(max_rows => 1)")).rejects.toMatchObject({ code: "22023" })
  const session = database().session()
  await session.run("begin isolation level repeatable read")
  await expect(upkeep(session)).rejects.toMatchObject({ code: "22023" })
  await session.end()
})
