/** Damage made on purpose: the doctor names it, repair mends what the allocations tell, and neither changes what is held. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { allocate, counts, createPool, release } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { createDatabase, useDatabase } from "../harness/database.ts"

const database = useDatabase()
let owner: Session
let number = 0
let pool: string
let poolId: string
/** .0 is held, .1 was released, .2 and .3 were never taken. */
let held: string

const address = (last: number) => `10.0.${number}.${last}`
const findings = async (session = owner) =>
  (await session.rows("select distinct check_name from ipam.doctor()")).map((row) => row["check_name"])
const live = () =>
  owner.rows("select request_id, host(unit), generation from ipam.allocation where released_at is null order by 1")
const whole = { held: 1, free: 3, cooling: 0, reserved: 0, size: 4 }

beforeEach(async () => {
  owner ??= database().session()
  number += 1
  pool = `pool-${number}`
  await createPool(owner, pool, `${address(0)}-${address(3)}`)
  poolId = String((await owner.rows("select pool_id::text from ipam.pool where name = $1", [pool]))[0]?.["pool_id"])
  held = randomUUID()
  const gone = randomUUID()
  await allocate(owner, { pool, requestId: held })
  await allocate(owner, { pool, requestId: gone })
  await release(owner, gone)
})

describe("damage to extents and counters is found, and repaired from the allocations", () => {
  test.each([
    ["counter of held", "update ipam.pool_counter set held = held + 1 where pool_id = $1 and shard = 3"],
    ["counter of reserved", "update ipam.pool_counter set reserved = reserved + 1 where pool_id = $1 and shard = 3"],
    [
      "held + free + cooling + reserved = size",
      "delete from ipam.free_extent where pool_id = $1 and host(last) like '%.3'",
    ],
    ["extents overlap", "update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.3'"],
    ["extent out of order", "update ipam.free_extent set next = last + 1 where pool_id = $1 and host(last) like '%.2'"],
    [
      "extent outside its range",
      "update ipam.free_extent set last = last + 9 where pool_id = $1 and host(last) like '%.3'",
    ],
    ["free and held", "update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.1'"],
    [
      "generation would repeat",
      "update ipam.free_extent set generation = 0 where pool_id = $1 and host(last) like '%.1'",
    ],
    [
      "reserved but free",
      "insert into ipam.reservation select vrf, pool_id, first + 3, first + 3, 'requested' from ipam.range where pool_id = $1",
    ],
    ["size", "update ipam.pool set size = size + 1 where pool_id = $1"],
  ])("%s", async (check, damage) => {
    const before = await live()
    await owner.rows(damage, [poolId])
    expect(await findings()).toContain(check)
    expect(await owner.rows("select check_name from ipam.repair()")).not.toEqual([])
    expect(await findings()).toEqual([])
    expect(await live()).toEqual(before)
    expect(await counts(owner, pool)).toEqual(
      check === "reserved but free" ? { ...whole, free: 2, reserved: 1 } : whole,
    )
    expect(await owner.rows("select * from ipam.repair()")).toEqual([])
    // I6: the released address comes back with a generation that it never had.
    const again = await allocate(owner, { pool, requestId: randomUUID(), address: address(1) })
    expect(Number(again.generation)).toBeGreaterThan(1)
  })
})

test("an allocation that no range holds is found", async () => {
  const other = await createDatabase()
  try {
    const session = other.session()
    await createPool(session, "pool", "10.0.0.0-10.0.0.3")
    await allocate(session, { pool: "pool", requestId: held })
    await session.run("update ipam.allocation set unit = '10.9.9.9'")
    expect(await findings(session)).toEqual(["allocation outside its range"])
  } finally {
    await other.drop()
  }
})

test("two live allocations of one unit are found, should the index that bars them be gone", async () => {
  const other = await createDatabase()
  try {
    const session = other.session()
    await createPool(session, "pool", "10.0.0.0-10.0.0.3")
    for (let n = 0; n < 2; n += 1) await allocate(session, { pool: "pool", requestId: randomUUID() })
    await session.run("drop index ipam.allocation_unit; update ipam.allocation set unit = '10.0.0.0'")
    expect(await findings(session)).toContain("one live allocation a unit")
  } finally {
    await other.drop()
  }
})

test("what an operation holds that has unwound is found", async () => {
  const session = database().session()
  const begin =
    "select ipam.begin_operation($1::text::uuid, 'default', 'Create', null, array['default'], array['machine'], array[$1])"
  await session.rows(begin, [held])
  const unwound =
    "update ipam.operation set state = 'unwound', error = 'null', unwinding_at = now(), finished_at = now()"
  await session.rows(`${unwound} where operation_id = $1`, [held])
  expect(await owner.rows("select check_name, pool, detail from ipam.doctor()")).toEqual([
    { check_name: "held by what unwound", pool, detail: `${address(0)}, slot default of operation ${held}` },
  ])
  await release(owner, held)
  expect(await findings()).toEqual([])
  await session.end()
})

test("a setting that can lose acknowledged allocations is found", async () => {
  const session = database().session()
  await session.run("set synchronous_commit = off")
  expect(await findings(session)).toEqual(["synchronous_commit"])
})

test("repair keeps what cools, for whom it cools, and until when", async () => {
  const cooling = `cooling-${number}`
  const unit = `10.1.${number}.0`
  await createPool(owner, cooling, unit, { cooldownSeconds: 3600 })
  const requestId = randomUUID()
  await allocate(owner, { pool: cooling, requestId, owner: "i-1" })
  await release(owner, requestId)
  const until = () =>
    owner.rows("select available_at::text, last_owner_id, host(next) from ipam.free_extent where last = $1", [unit])
  const before = await until()
  await owner.rows("update ipam.pool_counter set held = 7 where shard = 1 and pool_id = $1", [poolId])
  await owner.rows("select * from ipam.repair()")
  expect(await until()).toEqual(before)
  expect(await allocate(owner, { pool: cooling, requestId: randomUUID() })).toMatchObject({ outcome: "exhausted" })
  const request = { pool: cooling, address: unit }
  expect(await allocate(owner, { ...request, requestId: randomUUID(), owner: "i-2" })).toMatchObject({
    outcome: "address_cooling",
  })
  expect(await allocate(owner, { ...request, requestId: randomUUID(), owner: "i-1" })).toMatchObject({
    outcome: "allocated",
    address: unit,
  })
})

test("a free unit with a live holder is drift: nothing is given, and the doctor is named", async () => {
  const before = await live()
  await owner.rows("update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.1'", [poolId])
  const requestId = randomUUID()
  expect(await allocate(owner, { pool, requestId })).toMatchObject({
    outcome: "drifted",
    detail: { address: address(0) },
  })
  expect(await allocate(owner, { pool, requestId, address: address(0) })).toMatchObject({ outcome: "drifted" })
  expect(await live()).toEqual(before)
  await owner.rows("select * from ipam.repair()")
})
