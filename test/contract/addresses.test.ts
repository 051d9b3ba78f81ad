/** Which address comes: order, ranges, reservations, cooldown, explicit requests, generations. */
import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import type { Answer, Request } from "../harness/calls.ts"
import { allocate, counts, createPool, release } from "../harness/calls.ts"
import { first as session, number, owner, pool } from "../harness/fixture.ts"

const net = (rest: string) => `10.${number}.${rest}`
/** The generation after one: the floor of the VRF rises when ranges go, so a first one need not be 1. */
const after = (answer: Answer, steps = 1) => String(BigInt(answer.generation ?? 0) + BigInt(steps))
const take = async (request: Partial<Omit<Request, "requestId">> = {}) => {
  const requestId = randomUUID()
  return { ...(await allocate(session, { pool, requestId, ...request })), requestId }
}

test("when the first range is full the second is used; an address of the second gives one row", async () => {
  await createPool(owner, pool, `${net("0.0")}-${net("0.1")},${net("5.0")}-${net("5.1")}`)
  expect(await take({ address: net("5.1") })).toMatchObject({ outcome: "allocated", address: net("5.1") })
  for (const expected of ["0.0", "0.1", "5.0"]) expect((await take()).address).toBe(net(expected))
  expect(await take()).toMatchObject({
    outcome: "exhausted",
    detail: { size: "4", held: "4", reserved: "0", cooling: "0", nextFreeAt: null },
  })
})

test("a full pool does not spill over into another", async () => {
  await createPool(owner, pool, net("0.0"))
  await createPool(owner, `${pool}-with-room`, net("1.0/24"))
  await take()
  expect(await take()).toMatchObject({ outcome: "exhausted" })
})

test("a range of a few addresses of IPv6 fills in order; a /64 and a /48 count exactly", async () => {
  await createPool(owner, pool, `fd00:${number}::ffff:ffff:fffe-fd00:${number}::1:0:0:1`)
  for (const last of ["ffff:ffff:fffe", "ffff:ffff:ffff", "1:0:0:0", "1:0:0:1"])
    expect(
      (await owner.rows("select $1::inet = $2::inet as same", [(await take()).address, `fd00:${number}::${last}`]))[0],
    ).toEqual({
      same: true,
    })
  expect(await take()).toMatchObject({ outcome: "exhausted" })
  const huge = `huge-${number}`
  await createPool(owner, huge, `fd01:${number}:1::/64,fd01:${number}:2::/48`)
  expect(await take({ pool: huge })).toMatchObject({ address: `fd01:${number}:1::1` })
  const [row] = await owner.rows(
    "select size::text, free::text, held::text, reserved::text from ipam.get_pool('default', $1)",
    [huge],
  )
  const size = 2n ** 64n + 2n ** 80n
  expect(row).toEqual({ size: `${size}`, free: `${size - 3n}`, held: "1", reserved: "2" })
})

test("the ends of both families are handed out without running past them", async () => {
  await createPool(owner, pool, "255.255.255.254-255.255.255.255")
  expect((await take()).address).toBe("255.255.255.254")
  const top = await take()
  expect(top.address).toBe("255.255.255.255")
  expect(await take()).toMatchObject({ outcome: "exhausted" })
  await release(session, top.requestId)
  expect(await take({ address: "255.255.255.255" })).toMatchObject({ outcome: "allocated", generation: after(top) })
  const v6 = `top-${number}`
  await createPool(owner, v6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
  await take({ pool: v6 })
  expect((await take({ pool: v6 })).address).toBe("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
  expect(await take({ pool: v6 })).toMatchObject({ outcome: "exhausted" })
})

test.each([
  ["/24", "0.0/24", 254, "0.1"],
  ["/30", "0.0/30", 2, "0.1"],
  ["/31", "0.0/31", 2, "0.0"],
  ["/32", "0.7/32", 1, "0.7"],
])("of an IPv4 %s network and broadcast are reserved where the RFCs say so", async (_, range, free, first) => {
  await createPool(owner, pool, net(range))
  expect(await counts(owner, pool)).toMatchObject({ free })
  expect((await take()).address).toBe(net(first))
})

test("ranges may not overlap in any of the five positions, in another pool neither; another VRF may", async () => {
  await createPool(owner, pool, `${net("0.10")}-${net("0.20")}`)
  const positions = ["0.10-0.20", "0.5-0.10", "0.20-0.25", "0.5-0.25", "0.12-0.15"]
  for (const [place, position] of positions.entries()) {
    const range = position.split("-").map(net).join("-")
    expect(await createPool(owner, `${pool}-${place}`, range)).toBe("range_overlaps")
    const [added] = await owner.rows("select outcome from ipam.add_range('default', $1, $2)", [pool, range])
    expect(added?.["outcome"]).toBe(place === 0 ? "exists" : "range_overlaps")
    expect(await createPool(owner, `${pool}-${place}`, range, { vrf: `vrf-${number}-${place}` })).toBe("created")
  }
})

test("a range goes when nothing of it is held, not before, and generations grow over its return", async () => {
  await createPool(owner, pool, `${net("0.0")}-${net("0.1")},${net("1.0")}`)
  const range = `${net("0.0")}-${net("0.1")}`
  const held = await take()
  const remove = () => owner.rows("select outcome, detail from ipam.remove_range('default', $1, $2)", [pool, range])
  expect(await remove()).toMatchObject([
    { outcome: "range_in_use", detail: { held: "1", holders: [{ address: held.address, requestId: held.requestId }] } },
  ])
  await release(session, held.requestId)
  expect(await remove()).toMatchObject([{ outcome: "removed" }])
  expect(await counts(owner, pool)).toMatchObject({ size: 1, free: 1, held: 0 })
  expect(await take({ address: net("0.0") })).toMatchObject({ outcome: "address_outside" })
  await owner.rows("select ipam.add_range('default', $1, $2)", [pool, range])
  expect(await take({ address: net("0.0") })).toMatchObject({ outcome: "allocated", generation: after(held) })
})

test("a reserved address needs the flag, counts as held, and goes back to reserved with the next generation", async () => {
  await createPool(owner, pool, `${net("0.0")}-${net("0.3")}`, { reserve: net("0.2") })
  expect(await take({ address: net("0.2") })).toMatchObject({ outcome: "address_reserved" })
  const held = await take({ address: net("0.2"), allowReserved: true })
  expect(held).toMatchObject({ outcome: "allocated" })
  expect(await counts(owner, pool)).toMatchObject({ held: 1, reserved: 0, free: 3 })
  await release(session, held.requestId)
  expect(await counts(owner, pool)).toMatchObject({ held: 0, reserved: 1, free: 3 })
  expect((await take({ address: net("0.2"), allowReserved: true })).generation).toBe(after(held))
  for (const expected of ["0.0", "0.1", "0.3"]) expect((await take()).address).toBe(net(expected))
  expect(await take()).toMatchObject({ outcome: "exhausted" })
})

test("a cooling address goes to its last owner or by the flag; exhaustion says when the next comes free", async () => {
  await createPool(owner, pool, net("0.0"), { cooldownSeconds: 3600 })
  const first = await take({ owner: "vm-1" })
  await release(session, first.requestId)
  expect(await counts(owner, pool)).toMatchObject({ cooling: 1, free: 0 })
  const refused = await take()
  expect(refused).toMatchObject({ outcome: "exhausted", detail: { cooling: "1", held: "0" } })
  expect(refused.detail?.["nextFreeAt"]).not.toBeNull()
  expect(await take({ address: net("0.0") })).toMatchObject({ outcome: "address_cooling" })
  expect(await take({ address: net("0.0"), owner: "vm-2" })).toMatchObject({ outcome: "address_cooling" })
  const again = await take({ address: net("0.0"), owner: "vm-1" })
  expect(again).toMatchObject({ outcome: "allocated", generation: after(first) })
  await release(session, again.requestId)
  expect(await take({ address: net("0.0"), allowCooling: true })).toMatchObject({
    outcome: "allocated",
    generation: after(first, 2),
  })
})

test("with a cooldown fresh addresses come first, then the longest released", async () => {
  await createPool(owner, pool, `${net("0.0")}-${net("0.2")}`, { cooldownSeconds: 0.001 })
  const [a, b] = [await take(), await take()]
  await release(session, b.requestId)
  await release(session, a.requestId)
  await owner.until(
    "select 1 from ipam.free_extent where last = $1::inet and available_at < clock_timestamp() and available_at > '-infinity'",
    [net("0.0")],
  )
  for (const expected of ["0.2", "0.1", "0.0"]) expect((await take()).address).toBe(net(expected))
})

test("a late allocate after its undo never gets the address back, which another holds by then", async () => {
  await createPool(owner, pool, net("0.0"))
  const first = await take()
  await release(session, first.requestId)
  const second = await take()
  expect(second).toMatchObject({ address: first.address, generation: after(first) })
  expect(await allocate(session, { pool, requestId: first.requestId })).toMatchObject({ outcome: "key_released" })
  expect(await counts(owner, pool)).toMatchObject({ held: 1, free: 0 })
})

test("a deleted pool is refused, keeps the tombstones' keys and frees its name", async () => {
  await createPool(owner, pool, net("0.0"))
  const held = await take()
  const remove = () => owner.rows("select outcome from ipam.delete_pool('default', $1)", [pool])
  expect(await remove()).toEqual([{ outcome: "pool_in_use" }])
  await release(session, held.requestId)
  expect(await remove()).toEqual([{ outcome: "deleted" }])
  expect(await take()).toMatchObject({ outcome: "unknown_pool" })
  expect(await createPool(owner, pool, net("0.0"))).toBe("created")
  expect(await allocate(session, { pool, requestId: held.requestId })).toMatchObject({ outcome: "key_released" })
  expect(await take()).toMatchObject({ outcome: "allocated", generation: after(held) })
})

test("creating a pool again is told from creating another of its name", async () => {
  expect(await createPool(owner, pool, net("0.0/24"))).toBe("created")
  expect(await createPool(owner, pool, net("0.0/24"))).toBe("exists")
  expect(await createPool(owner, pool, net("0.0/25"))).toBe("pool_exists")
})

test("a flag that is null is false: what is reserved or cooling stays refused", async () => {
  await createPool(owner, pool, `${net("0.0")}-${net("0.3")}`, { reserve: net("0.2"), cooldownSeconds: 3600 })
  const cooling = await take({ address: net("0.1") })
  await release(session, cooling.requestId)
  const flags = "allow_reserved => null, allow_cooling => null, allow_draining => null"
  for (const [address, outcome] of [
    [net("0.2"), "address_reserved"],
    [net("0.1"), "address_cooling"],
  ]) {
    const one = await session.rows(
      `select outcome from ipam.allocate('default', $1, gen_random_uuid(), address => $2::text::inet, ${flags})`,
      [pool, address ?? ""],
    )
    const several = await session.rows(
      `select outcome from ipam.allocate_many('default', gen_random_uuid(), '{a}', array[$1], array[$2::text::inet], ${flags})`,
      [pool, address ?? ""],
    )
    expect([...one, ...several]).toEqual([{ outcome }, { outcome }])
  }
  const [bounded] = await owner.rows(
    "select reserved::int from ipam.create_pool('default', $1, array[$2], include_network_addresses => null)",
    [`${pool}-bounded`, net("1.0/24")],
  )
  expect(bounded).toEqual({ reserved: 2 })
})

test("a draining address needs the flag, comes after reserved, and exhaustion counts it", async () => {
  await createPool(owner, pool, `${net("0.0")}-${net("0.3")}`, { reserve: net("0.2") })
  await take()
  await owner.rows("select ipam.set_draining('default', $1, true)", [pool])
  expect(await take()).toMatchObject({
    outcome: "exhausted",
    detail: { size: "4", held: "1", reserved: "1", draining: "2", cooling: "0", nextFreeAt: null },
  })
  expect(await take({ address: net("0.1") })).toMatchObject({ outcome: "address_draining" })
  expect(await take({ address: net("0.2") })).toMatchObject({ outcome: "address_reserved" })
  expect(await take({ address: net("0.2"), allowReserved: true })).toMatchObject({ outcome: "address_draining" })
  const held = await take({ address: net("0.1"), allowDraining: true })
  expect(held).toMatchObject({ outcome: "allocated" })
  await release(session, held.requestId)
  expect(await take({ address: net("0.1") })).toMatchObject({ outcome: "address_draining" })
})
