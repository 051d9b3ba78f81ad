/** The contract of a key, cell by cell: what each call answers in each state of it, and that nothing else changes. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { allocate, confirm, counts, createPool, extend, get, release } from "../harness/calls.ts"
import { address, first as session, number, owner, pool, requestId, span } from "../harness/fixture.ts"

beforeEach(async () => {
  expect(await createPool(owner, pool, span(0, 3))).toBe("created")
})

/** Everything that anyone can see of the database. */
const world = async () =>
  await owner.rows(
    `select
      (select jsonb_agg(a order by a.vrf, a.request_id, a.slot) from ipam.allocation a) as allocations,
      (select jsonb_agg(e order by e.extent_id) from ipam.free_extent e) as extents,
      (select jsonb_agg(c order by c.vrf, c.pool_id, c.shard) from ipam.pool_counter c) as counters`,
  )
const expire = async () => {
  await allocate(session, { pool, requestId, ttlSeconds: 0.001 })
  await owner.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
    requestId,
  ])
  await owner.rows("select * from ipam.reclaim_expired(1000)")
}

describe("allocate", () => {
  test("takes an address for a key never seen: confirmed without a ttl, provisional with one", async () => {
    expect(await allocate(session, { pool, requestId })).toMatchObject({
      outcome: "allocated",
      address: address(0),
      generation: "1",
      state: "confirmed",
      expiresAt: null,
    })
    const other = await allocate(session, { pool, requestId: randomUUID(), ttlSeconds: 60 })
    expect(other).toMatchObject({ outcome: "allocated", address: address(1), state: "provisional" })
    expect(other.expiresAt).not.toBeNull()
    expect(await counts(owner, pool)).toEqual({ held: 2, free: 2, cooling: 0, reserved: 0, size: 4 })
  })

  test("replays the first answer, another ttl and a full pool notwithstanding, and changes nothing", async () => {
    const first = await allocate(session, { pool, requestId, ttlSeconds: 600 })
    for (let place = 0; place < 3; place += 1) await allocate(session, { pool, requestId: randomUUID() })
    const before = await world()
    expect(await allocate(session, { pool, requestId, ttlSeconds: 5 })).toEqual({ ...first, outcome: "replayed" })
    expect(await world()).toEqual(before)
  })

  test.each([
    ["pool", { pool: "nowhere" }],
    ["address", { address: "10.99.0.1" }],
    ["owner", { owner: "somebody" }],
  ] as const)("refuses a held key with another %s", async (what, other) => {
    await allocate(session, { pool, requestId })
    const before = await world()
    expect(await allocate(session, { pool, requestId, ...other })).toMatchObject({
      outcome: "key_reused",
      detail: { differs: [what] },
    })
    expect(await world()).toEqual(before)
  })

  test("refuses a released key, with another fingerprint too", async () => {
    await allocate(session, { pool, requestId })
    await release(session, requestId)
    const before = await world()
    expect(await allocate(session, { pool, requestId })).toMatchObject({
      outcome: "key_released",
      detail: { reason: "released" },
    })
    expect(await allocate(session, { pool: "nowhere", requestId, owner: "x" })).toMatchObject({
      outcome: "key_released",
    })
    expect(await world()).toEqual(before)
  })

  test("a refusal leaves the key absent", async () => {
    await createPool(owner, `small-${number}`, `10.${number}.1.0`, { cooldownSeconds: 600, vrf: "default" })
    const cooling = randomUUID()
    await allocate(session, { pool: `small-${number}`, requestId: cooling })
    await release(session, cooling)
    await owner.rows("select ipam.reserve('default', $1, $2)", [pool, address(3)])
    await allocate(session, { pool, requestId: randomUUID(), address: address(1), owner: "other" })
    const before = await world()
    const refusals = [
      [{ pool: `small-${number}` }, "exhausted"],
      [{ pool, address: address(1) }, "address_taken"],
      [{ pool: `small-${number}`, address: `10.${number}.1.0` }, "address_cooling"],
      [{ pool, address: address(3) }, "address_reserved"],
      [{ pool, address: address(4) }, "address_outside"],
      [{ pool: "nowhere" }, "unknown_pool"],
    ] as const
    for (const [request, outcome] of refusals) {
      expect(await allocate(session, { requestId, ...request })).toMatchObject({ outcome, address: null })
      expect(await get(session, requestId)).toBeUndefined()
    }
    expect(await world()).toEqual(before)
    expect(await allocate(session, { pool, requestId })).toMatchObject({ outcome: "allocated" })
  })
})

describe("confirm", () => {
  test("of a key never seen is not found, and leaves nothing", async () => {
    expect(await confirm(session, requestId)).toMatchObject({ outcome: "not_found" })
    expect(await get(session, requestId)).toBeUndefined()
  })

  test("makes a provisional allocation last, again and again", async () => {
    await allocate(session, { pool, requestId, ttlSeconds: 600 })
    const first = await confirm(session, requestId)
    expect(first).toMatchObject({ outcome: "confirmed", state: "confirmed", address: address(0), expiresAt: null })
    const before = await world()
    expect(await confirm(session, requestId)).toEqual(first)
    expect(await world()).toEqual(before)
  })

  test("still wins past the ttl as long as nobody reclaimed", async () => {
    await allocate(session, { pool, requestId, ttlSeconds: 0.001 })
    await owner.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
      requestId,
    ])
    expect(await confirm(session, requestId)).toMatchObject({ outcome: "confirmed" })
    expect(await owner.rows("select 1 from ipam.reclaim_expired(100)")).toEqual([])
  })
})

describe("extend", () => {
  test("of a key never seen is not found", async () => {
    expect(await extend(session, requestId, 60)).toMatchObject({ outcome: "not_found" })
    expect(await get(session, requestId)).toBeUndefined()
  })

  test("counts from the server's now, and may shorten", async () => {
    await allocate(session, { pool, requestId, ttlSeconds: 600 })
    expect(await extend(session, requestId, 60)).toMatchObject({ outcome: "extended", state: "provisional" })
    const [row] = await owner.rows(
      "select extract(epoch from expires_at - clock_timestamp())::float8 as left from ipam.allocation where request_id = $1",
      [requestId],
    )
    expect(row?.["left"]).toBeGreaterThan(50)
    expect(row?.["left"]).toBeLessThanOrEqual(60)
  })

  test("of a confirmed allocation succeeds and changes nothing", async () => {
    await allocate(session, { pool, requestId })
    const before = await world()
    expect(await extend(session, requestId, 60)).toMatchObject({
      outcome: "extended",
      state: "confirmed",
      expiresAt: null,
    })
    expect(await world()).toEqual(before)
  })
})

describe("a tombstone", () => {
  test("by release: confirm and extend say so", async () => {
    await allocate(session, { pool, requestId })
    await release(session, requestId)
    expect(await confirm(session, requestId)).toMatchObject({ outcome: "key_released" })
    expect(await extend(session, requestId, 60)).toMatchObject({ outcome: "key_released" })
  })

  test("by reclaim: confirm and extend answer expired; allocate the reason", async () => {
    await expire()
    expect(await confirm(session, requestId)).toMatchObject({ outcome: "expired" })
    expect(await extend(session, requestId, 60)).toMatchObject({ outcome: "expired" })
    expect(await allocate(session, { pool, requestId })).toMatchObject({
      outcome: "key_released",
      detail: { reason: "expired" },
    })
    expect(await release(session, requestId)).toMatchObject({ outcome: "already_released", freed: false })
  })
})

describe("release", () => {
  test("of a key never seen leaves a tombstone, in a VRF that is not there too", async () => {
    expect(await release(session, requestId)).toMatchObject({ outcome: "released", freed: false, address: null })
    expect(await allocate(session, { pool, requestId })).toMatchObject({ outcome: "key_released" })
    expect(await release(session, requestId, "default", "no-such-vrf")).toMatchObject({
      outcome: "released",
      freed: false,
    })
    expect(await allocate(session, { vrf: "no-such-vrf", pool, requestId })).toMatchObject({ outcome: "key_released" })
  })

  test("frees what is held once; afterwards it is already released", async () => {
    await allocate(session, { pool, requestId })
    expect(await release(session, requestId)).toMatchObject({ outcome: "released", freed: true, state: "released" })
    expect(await counts(owner, pool)).toMatchObject({ held: 0, free: 4 })
    const before = await world()
    expect(await release(session, requestId)).toMatchObject({ outcome: "already_released", freed: false })
    expect(await world()).toEqual(before)
  })
})

test("get tells absent, held and released apart", async () => {
  expect(await get(session, requestId)).toBeUndefined()
  const { address: held, generation } = await allocate(session, { pool, requestId })
  expect(await get(session, requestId)).toMatchObject({ outcome: "held", address: held, generation })
  await release(session, requestId)
  expect(await get(session, requestId)).toMatchObject({ outcome: "released", state: "released" })
})

describe("precedence", () => {
  test("a replay needs no pool; a reused key is told before an unknown pool, an outside address or exhaustion", async () => {
    for (let place = 0; place < 4; place += 1) {
      const key = place === 0 ? requestId : randomUUID()
      await allocate(session, { pool, requestId: key })
    }
    expect(await allocate(session, { pool, requestId })).toMatchObject({ outcome: "replayed" })
    expect(await allocate(session, { pool: "nowhere", requestId, address: "10.250.0.1" })).toMatchObject({
      outcome: "key_reused",
    })
    expect(await allocate(session, { pool, requestId, address: "10.250.0.1" })).toMatchObject({ outcome: "key_reused" })
  })

  test("an unknown pool is told before an address outside, and names the VRFs that have it", async () => {
    await createPool(owner, `only-${number}`, "10.250.0.0-10.250.0.1", { vrf: `other-${number}` })
    expect(await allocate(session, { pool: `only-${number}`, requestId, address: "1.1.1.1" })).toMatchObject({
      outcome: "unknown_pool",
      detail: { vrfs: [`other-${number}`] },
    })
  })

  test("an address that is held is taken, even if it was reserved meanwhile", async () => {
    await allocate(session, { pool, requestId: randomUUID(), address: address(2), owner: "vm-1" })
    await owner.rows("select ipam.reserve('default', $1, $2)", [pool, address(2)])
    expect(await allocate(session, { pool, requestId, address: address(2) })).toMatchObject({
      outcome: "address_taken",
      detail: { heldBy: { kind: "instance", id: "vm-1" } },
    })
  })
})
