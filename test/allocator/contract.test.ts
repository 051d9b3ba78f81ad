/** What a call answers, by the state that its key is in; and what the doctor says of damage made on purpose. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import type { Session } from "../support/database.ts"
import { useDatabase } from "../support/database.ts"

const database = useDatabase()
let session: Session
let number = 0
let pool: string
let requestId: string

beforeEach(async () => {
  session ??= database().session()
  number += 1
  pool = `pool-${number}`
  requestId = randomUUID()
  await session.rows("select ipam.create_pool('default', $1, array[$2])", [pool, `10.0.${number}.0-10.0.${number}.3`])
})

const one = async (text: string, parameters: ReadonlyArray<string> = []) => (await session.rows(text, parameters))[0]
const outcome = async (call: string, ...parameters: ReadonlyArray<string>) =>
  (await one(`select outcome from ipam.${call}`, parameters))?.["outcome"]
const allocate = async (key = requestId) => outcome("allocate('default', $1, $2)", pool, key)
const release = async (key = requestId) => outcome("release('default', $1)", key)
const counts = async () =>
  one("select held::int, reserved::int, cooling::int, free::int from ipam.get_pool('default', $1)", [pool])
const key = async () => one("select a::text as row from ipam.allocation a where request_id = $1", [requestId])

describe("allocate", () => {
  test("an absent key gets an address, a held one its first answer, and a replay writes nothing", async () => {
    expect(await allocate()).toBe("allocated")
    const before = [await key(), await counts()]
    expect(await allocate()).toBe("replayed")
    expect([await key(), await counts()]).toEqual(before)
  })

  test("a held key with another pool, address or owner is reused, and says what differs", async () => {
    await allocate()
    const detail = async (call: string) =>
      one(`select outcome, detail from ipam.allocate('default', ${call})`, [pool, requestId])
    expect(await detail("$1, $2, owner_kind => 'vm', owner_id => '1'")).toEqual({
      outcome: "key_reused",
      detail: { differs: ["owner"] },
    })
    expect(await detail(`$1, $2, address => '10.0.${number}.0'`)).toEqual({
      outcome: "key_reused",
      detail: { differs: ["address"] },
    })
    expect(await detail("$1 || 'x', $2")).toEqual({ outcome: "key_reused", detail: { differs: ["pool"] } })
  })

  test("a replay needs no room: it works on a full pool, and a released key is refused for ever", async () => {
    await allocate()
    for (let more = 0; more < 3; more += 1) expect(await allocate(randomUUID())).toBe("allocated")
    expect(await allocate(randomUUID())).toBe("exhausted")
    expect(await allocate()).toBe("replayed")
    expect(await release()).toBe("released")
    expect(await allocate()).toBe("key_released")
    expect(await outcome("allocate('default', 'elsewhere', $1)", requestId)).toBe("key_released")
  })

  test("an exhausted pool tells its counts, and a pool that is not there which VRFs have one of that name", async () => {
    for (let more = 0; more < 4; more += 1) await allocate(randomUUID())
    const refused = await one("select detail from ipam.allocate('default', $1, $2)", [pool, requestId])
    expect(refused?.["detail"]).toMatchObject({ held: "4", cooling: "0", reserved: "0", size: "4", nextFreeAt: null })
    const unknown = await one("select outcome, detail from ipam.allocate('elsewhere', $1, $2)", [pool, requestId])
    expect(unknown).toEqual({ outcome: "unknown_pool", detail: { vrfs: ["default"] } })
    expect(await key()).toBeUndefined()
  })

  test("several slots are all or none: the refused one says why, its siblings are withheld", async () => {
    const call = "select outcome from ipam.allocate_many('default', $1, array['a', 'b'], array[$2, 'nowhere'])"
    expect(await session.rows(call, [requestId, pool])).toEqual([{ outcome: "withheld" }, { outcome: "unknown_pool" }])
    expect(await counts()).toMatchObject({ held: 0 })
  })
})

describe("release, confirm, extend, get", () => {
  test("a release of an absent key leaves a tombstone; a second one is a success that frees nothing", async () => {
    expect(await one("select outcome, freed from ipam.release('default', $1)", [requestId])).toEqual({
      outcome: "released",
      freed: false,
    })
    expect(await one("select outcome, freed from ipam.release('default', $1)", [requestId])).toEqual({
      outcome: "already_released",
      freed: false,
    })
    expect(await allocate()).toBe("key_released")
  })

  test("confirm and extend: not found, then again and again, then the tombstone's reason", async () => {
    const confirm = async () => outcome("confirm('default', $1)", requestId)
    const extend = async () => outcome("extend('default', $1, ttl_seconds => 60)", requestId)
    expect([await confirm(), await extend()]).toEqual(["not_found", "not_found"])
    await outcome("allocate('default', $1, $2, ttl_seconds => 600)", pool, requestId)
    expect([await extend(), await confirm(), await confirm(), await extend()]).toEqual([
      "extended",
      "confirmed",
      "confirmed",
      "extended",
    ])
    await release()
    expect([await confirm(), await extend()]).toEqual(["key_released", "key_released"])
  })

  test("past its ttl a key is held until it is reclaimed; then confirm says expired", async () => {
    await outcome("allocate('default', $1, $2, ttl_seconds => 0.001)", pool, requestId)
    await session.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
      requestId,
    ])
    expect(await counts()).toMatchObject({ held: 1 })
    expect(await outcome("reclaim_expired()")).toBe("released")
    expect(await outcome("confirm('default', $1)", requestId)).toBe("expired")
    expect(await outcome("get('default', $1)", requestId)).toBe("released")
    expect(await counts()).toMatchObject({ held: 0, free: 4 })
  })
})

test("a cooling address goes to its last owner or to who allows it, to nobody else; and the generation grows", async () => {
  const address = "10.100.0.1"
  await session.rows("select ipam.create_pool('default', 'cooling', array['10.100.0.1'], cooldown_seconds => 3600)")
  const ask = async (owner: string, more = "") =>
    one(
      `select outcome, generation::int from ipam.allocate('default', 'cooling', $1, 'default', '${address}', 'vm', $2 ${more})`,
      [randomUUID(), owner],
    )
  const free = async () =>
    session.rows(
      "select ipam.release(vrf, request_id, slot) from ipam.allocation where unit = $1 and released_at is null",
      [address],
    )
  expect(await ask("a")).toEqual({ outcome: "allocated", generation: 1 })
  await free()
  expect(await ask("b")).toMatchObject({ outcome: "address_cooling" })
  expect(await outcome("allocate('default', 'cooling', $1)", randomUUID())).toBe("exhausted")
  expect(await ask("a")).toEqual({ outcome: "allocated", generation: 2 })
  await free()
  expect(await ask("b", ", allow_cooling => true")).toEqual({ outcome: "allocated", generation: 3 })
})

test("a reserved address is taken only by who allows it, and goes back to reserved", async () => {
  const ask = async (allow: boolean) =>
    outcome(`allocate('default', $1, $2, address => '10.0.${number}.1', allow_reserved => ${allow})`, pool, requestId)
  await outcome("reserve('default', $1, $2)", pool, `10.0.${number}.1`)
  expect(await ask(false)).toBe("address_reserved")
  expect(await ask(true)).toBe("allocated")
  expect(await counts()).toMatchObject({ held: 1, reserved: 0, free: 3 })
  await release()
  expect(await counts()).toMatchObject({ held: 0, reserved: 1, free: 3 })
})

describe("the doctor", () => {
  test.each([
    ["counter of held", "update ipam.pool_counter set held = held + 1 where pool_id = $1 and shard = 3"],
    ["counter of reserved", "update ipam.pool_counter set reserved = reserved + 1 where pool_id = $1 and shard = 3"],
    ["counter shards", "delete from ipam.pool_counter where pool_id = $1 and shard = 9 and held = 0"],
    ["held + free + cooling + reserved = size", "delete from ipam.free_extent where pool_id = $1"],
    ["extents overlap", "update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.3'"],
    ["free and held", "update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.2'"],
    [
      "generation would repeat",
      "update ipam.free_extent set generation = 0 where pool_id = $1 and host(last) like '%.0'",
    ],
    ["size", "update ipam.pool set size = size + 1 where pool_id = $1"],
  ])("finds damage and repairs it, keeping what is held: %s", async (check, damage) => {
    const other = randomUUID()
    await allocate(other)
    if (check === "generation would repeat") await release(other)
    await allocate()
    if (check === "generation would repeat") await release()
    const id = String((await one("select pool_id::text as id from ipam.pool where name = $1", [pool]))?.["id"])
    await session.rows(damage, [id])
    const found = await session.rows("select distinct check_name from ipam.doctor()")
    expect(found.map((row) => row["check_name"])).toContain(check)
    await session.rows("select * from ipam.repair()")
    expect(await session.rows("select * from ipam.doctor()")).toEqual([])
    const generation = await one("select max(generation)::int as n from ipam.allocation where pool_id = $1", [id])
    const next = await one("select generation::int as n from ipam.allocate('default', $1, $2)", [pool, randomUUID()])
    expect(Number(next?.["n"])).toBeGreaterThan(Number(generation?.["n"]))
  })
})
