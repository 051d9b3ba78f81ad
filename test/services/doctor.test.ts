/**
 * Damage made on purpose: the doctor names it, and what repair does about it or a person must decide; repair does that and no more,
 * beside any traffic, and says what it did. Never changes what is held.
 */
import { randomUUID } from "node:crypto"
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { allocate, counts, createPool, release, repair, untilBlocked } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { createDatabase, useDatabase } from "../harness/database.ts"

const database = useDatabase()
let owner: Session
/** Whose transactions stay open: what they have not ended is rolled back after the test. */
let first: Session
let operator: Session
let number = 0
let pool: string
let poolId: string
/** .0 is held, .1 was released, .2 was never allocated, .3 is reserved. */
let held: string

const address = (last: number) => `10.0.${number}.${last}`
const findings = async (session = owner) =>
  (await session.rows("select distinct check_name from ipam.doctor()")).map((row) => row["check_name"])
const live = () =>
  owner.rows("select request_id, host(unit), generation from ipam.allocation where released_at is null order by 1")
const whole = { held: 1, free: 2, cooling: 0, reserved: 1, size: 4 }
const damaged = async (damage: string, ...parameters: ReadonlyArray<string>) => {
  await owner.rows(damage, [poolId, ...parameters])
}

beforeAll(() => {
  owner = database().session()
  first = database().session()
  operator = database().session()
})
beforeEach(async () => {
  number += 1
  pool = `pool-${number}`
  await createPool(owner, pool, `${address(0)}-${address(3)}`, { reserve: address(3) })
  poolId = String((await owner.rows("select pool_id::text from ipam.pool where name = $1", [pool]))[0]?.["pool_id"])
  held = randomUUID()
  const gone = randomUUID()
  await allocate(owner, { pool, requestId: held })
  await allocate(owner, { pool, requestId: gone })
  await release(owner, gone)
})
afterEach(async () => {
  await first.run("rollback")
  expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
})

describe("what repair sets right: the doctor names it, repair says what it did, and there is nothing to do a second time", () => {
  test.each([
    ["counter of held", "update ipam.pool_counter set held = held + 1 where pool_id = $1 and shard = 3"],
    ["counter of reserved", "update ipam.pool_counter set reserved = reserved + 1 where pool_id = $1 and shard = 3"],
    ["counter of held", "delete from ipam.pool_counter where pool_id = $1"],
    ["neither free nor held", "delete from ipam.free_extent where pool_id = $1"],
    ["neither free nor held", "delete from ipam.free_extent where pool_id = $1 and host(last) like '%.3'"],
    ["extents overlap", "update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.3'"],
    ["extents overlap", "update ipam.free_extent set next = next - 2 where pool_id = $1 and host(last) like '%.2'"],
    ["extent out of order", "update ipam.free_extent set next = last + 1 where pool_id = $1 and host(last) like '%.2'"],
    [
      "extent outside its range",
      "update ipam.free_extent set last = last + 9 where pool_id = $1 and host(last) like '%.3'",
    ],
    [
      "extent outside its range",
      "insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation) values ('default', $1, 1, '10.9.9.9', '10.9.9.9', 0)",
    ],
    ["free and held", "update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.1'"],
    [
      "generation would repeat",
      "update ipam.free_extent set generation = 0 where pool_id = $1 and host(last) like '%.1'",
    ],
    [
      "reserved without a reservation",
      "update ipam.free_extent set available_at = 'infinity' where pool_id = $1 and host(last) like '%.2'",
    ],
    ["reserved without a reservation", "update ipam.allocation set reserved = true where pool_id = $1"],
    [
      "reservation without effect",
      "update ipam.free_extent set available_at = '-infinity' where pool_id = $1 and host(last) like '%.3'",
    ],
    ["draining differs", "update ipam.free_extent set draining = true where pool_id = $1"],
    ["draining differs", "update ipam.allocation set draining = true where pool_id = $1"],
    ["range differs", "update ipam.free_extent set range_id = 99999 where pool_id = $1"],
    ["range differs", "update ipam.allocation set range_id = 99999 where pool_id = $1"],
    ["size", "update ipam.pool set size = size + 1 where pool_id = $1"],
  ])("%s: %s", async (check, damage) => {
    const before = await live()
    await damaged(damage)
    expect(await owner.rows("select check_name, pool, repair from ipam.doctor()")).toContainEqual({
      check_name: check,
      pool,
      repair: expect.stringMatching(/^repair /),
    })
    const done = await repair(owner)
    expect(done.length).toBeGreaterThan(0)
    expect(await findings()).toEqual([])
    expect(await live()).toEqual(before)
    expect(await counts(owner, pool)).toEqual(whole)
    expect(await owner.rows("select * from ipam.repair('default', $1)", [pool])).toEqual([])
    // I6: the released address comes back with a generation that it never had.
    const again = await allocate(owner, { pool, requestId: randomUUID(), address: address(1) })
    expect(Number(again.generation)).toBeGreaterThan(1)
  })

  test("damage of every kind at once, in pools of both families", async () => {
    const six = `six-${number}`
    await createPool(owner, six, `fd00:${number}::/64`)
    for (const name of [pool, six]) {
      await owner.rows(
        `with e as (select e.*, row_number() over (order by last) as n from ipam.free_extent e join ipam.pool p using (vrf, pool_id) where p.name = $1)
        update ipam.free_extent f
        set next = case when e.n = 2 then f.next - 1 else f.next end, draining = e.n = 1
        from e where e.extent_id = f.extent_id and e.n < 3`,
        [name],
      )
      await owner.rows(
        "update ipam.pool_counter c set held = 5 from ipam.pool p where p.name = $1 and p.pool_id = c.pool_id",
        [name],
      )
      await owner.rows("update ipam.pool set size = 0 where name = $1", [name])
    }
    await repair(owner)
    expect(await findings()).toEqual([])
    expect(await counts(owner, pool)).toEqual(whole)
  })

  test("one row a check, however many addresses: how many, and the first three", async () => {
    const large = `large-${number}`
    await createPool(owner, large, `10.8.${number}.0/24`)
    await owner.rows(
      "insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation) select 'default', pool_id, 1, unit, unit, 0 from ipam.pool, lateral (select '10.7.0.0'::inet + n as unit from generate_series(1, 500) n) u where name = $1",
      [large],
    )
    expect(await owner.rows("select check_name, detail from ipam.doctor()")).toEqual([
      { check_name: "extent outside its range", detail: "500: 10.7.0.1, 10.7.0.2, 10.7.0.3, ..." },
    ])
    expect(await repair(owner)).toEqual([
      { check: "extent outside its range", detail: "500 extents", done: "what lay outside was removed" },
    ])
  })

  test("extents of a pool that was deleted, or never was", async () => {
    await createPool(owner, `gone-${number}`, `10.6.${number}.0/24`)
    const [row] = await owner.rows("select pool_id::text from ipam.pool where name = $1", [`gone-${number}`])
    const id = String(row?.["pool_id"])
    await owner.rows("select ipam.delete_pool('default', $1)", [`gone-${number}`])
    for (const one of [id, "987654321"])
      await owner.rows(
        "insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation) values ('default', $1, 1, '10.6.0.1', '10.6.0.9', 0)",
        [one],
      )
    expect(
      await owner.rows("select pool from ipam.doctor() where check_name = 'extent outside its range' order by 1"),
    ).toEqual([{ pool: id }, { pool: "987654321" }].toSorted((a, b) => (a.pool < b.pool ? -1 : 1)))
    expect(await repair(owner)).toHaveLength(2)
  })
})

describe("what a person must decide is named with the command for it, and repair leaves it as it is", () => {
  const decision = (session: Session) => session.rows("select check_name, pool, detail, repair from ipam.doctor()")

  test("a live allocation that no range holds, or of a deleted pool: its release succeeds", async () => {
    const other = await createDatabase()
    try {
      const session = other.session()
      await createPool(session, "pool", "10.0.0.0-10.0.0.3")
      await allocate(session, { pool: "pool", requestId: held })
      await session.run("update ipam.allocation set unit = '10.9.9.9'")
      await repair(session)
      const command = `saga-ipam release --request ${held} --slot 'default' --vrf 'default'`
      expect(await decision(session)).toEqual([
        {
          check_name: "held outside its range",
          pool: "pool",
          detail: `10.9.9.9 (request ${held}, slot default)`,
          repair: `add a range that holds it, or release it: ${command}`,
        },
      ])
      expect(await repair(session)).toEqual([])
      await session.run("delete from ipam.reservation; delete from ipam.range; delete from ipam.free_extent")
      await session.run("update ipam.pool set deleted_at = now(), size = 0")
      expect(await decision(session)).toEqual([
        expect.objectContaining({ check_name: "held outside its range", repair: `release it: ${command}` }),
      ])
      expect(await release(session, held)).toMatchObject({ outcome: "released" })
      expect(await decision(session)).toEqual([])
    } finally {
      await other.drop()
    }
  })

  test("two live holders of one address, should the index that bars them be gone", async () => {
    const other = await createDatabase()
    try {
      const session = other.session()
      await createPool(session, "pool", "10.0.0.0-10.0.0.3")
      const keys = [randomUUID(), randomUUID()]
      for (const requestId of keys) await allocate(session, { pool: "pool", requestId })
      await session.run("drop index ipam.allocation_unit; update ipam.allocation set unit = '10.0.0.0'")
      expect(await repair(session)).toContainEqual(expect.objectContaining({ check: "neither free nor held" }))
      expect(await decision(session)).toEqual([
        expect.objectContaining({
          check_name: "held twice",
          repair: expect.stringMatching(
            /^decide whose it is .saga-ipam list --address 10\.0\.0\.0., and release the other/,
          ),
        }),
      ])
      expect(await repair(session)).toEqual([])
    } finally {
      await other.drop()
    }
  })

  test("what an operation holds that has unwound", async () => {
    const begin =
      "select ipam.begin_operation($1::text::uuid, 'default', 'Create', null, array['default'], array['machine'], array[$1])"
    await owner.rows(begin, [held])
    const unwound =
      "update ipam.operation set state = 'unwound', error = 'null', unwinding_at = now(), finished_at = now()"
    await owner.rows(`${unwound} where operation_id = $1`, [held])
    expect(await repair(owner)).toEqual([])
    expect(await owner.rows("select check_name, pool, detail from ipam.doctor()")).toEqual([
      { check_name: "held by an unwound operation", pool, detail: `${address(0)}, slot default of operation ${held}` },
    ])
    await release(owner, held)
  })

  test("a setting that can lose acknowledged allocations", async () => {
    const session = database().session()
    await session.run("set synchronous_commit = off")
    expect(await findings(session)).toEqual(["synchronous_commit"])
    await session.end()
  })
})

describe("repair keeps cooldowns", () => {
  let cooling: string
  const unit = () => `10.1.${number}.0`
  const until = () =>
    owner.rows("select available_at::text, last_owner_id, host(next) from ipam.free_extent where last = $1", [unit()])
  beforeEach(async () => {
    cooling = `cooling-${number}`
    await createPool(owner, cooling, `${unit()}-10.1.${number}.3`, { cooldownSeconds: 3600 })
    const requestId = randomUUID()
    await allocate(owner, { pool: cooling, requestId, owner: "i-1" })
    await release(owner, requestId)
  })
  const lost = () =>
    owner.rows("delete from ipam.free_extent e using ipam.pool p where p.name = $1 and e.pool_id = p.pool_id", [
      cooling,
    ])

  test.each([
    [
      "of an extent that is there, whatever else is wrong",
      () => damaged("update ipam.pool_counter set held = 7 where pool_id = $1"),
    ],
    [
      "of an extent that another one covers",
      () => owner.rows("update ipam.free_extent set next = $1 where host(last) = $2", [unit(), `10.1.${number}.1`]),
    ],
    ["of an extent that is lost, by the tombstone", lost],
  ])("%s, for whom it cools, and until when", async (_, damage) => {
    const before = await until()
    await damage()
    await repair(owner)
    expect(await findings()).toEqual([])
    expect(await until()).toEqual(before)
    const request = { pool: cooling, address: unit() }
    expect(await allocate(owner, { ...request, requestId: randomUUID(), owner: "i-2" })).toMatchObject({
      outcome: "address_cooling",
    })
    expect(await allocate(owner, { ...request, requestId: randomUUID(), owner: "i-1" })).toMatchObject({
      outcome: "allocated",
    })
  })

  test("of what is parked", async () => {
    await lost()
    await owner.rows("update ipam.allocation set unit = '10.5.0.0' where unit = $1", [unit()])
    await owner.rows(
      "insert into ipam.parked_extent (vrf, first, last, available_at) values ('default', $1, $1, now() + interval '1 minute')",
      [unit()],
    )
    await repair(owner)
    expect(await counts(owner, cooling)).toMatchObject({ cooling: 1, free: 3 })
  })

  test("where the tombstone may have been pruned, until any that was has cooled", async () => {
    await lost()
    await owner.rows("delete from ipam.allocation where unit = $1", [unit()])
    await owner.rows("update ipam.retention set pruned_before = now() - interval '10 minutes'")
    await repair(owner)
    expect(await counts(owner, cooling)).toMatchObject({ cooling: 4, free: 0 })
    const [soon] = await owner.rows(
      "select min(available_at) = (select pruned_before + interval '1 hour' from ipam.retention) as soon from ipam.free_extent where last <<= $1",
      [`${unit()}/30`],
    )
    expect(soon).toEqual({ soon: true })
    await owner.rows("update ipam.retention set pruned_before = '-infinity'")
  })
})

describe("repair beside traffic", () => {
  const named = () => operator.rows("select check_name from ipam.repair('default', $1)", [pool])

  test.each(["commit", "rollback"])("an allocation in flight from a damaged extent, ended by %s", async (end) => {
    await damaged("update ipam.free_extent set next = next - 2 where pool_id = $1 and host(last) like '%.2'")
    await first.run("begin")
    const requestId = randomUUID()
    expect(await allocate(first, { pool, requestId, address: address(1) })).toMatchObject({ outcome: "allocated" })
    const answer = named()
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).not.toEqual([])
    expect(await findings()).toEqual([])
    await release(owner, requestId)
    expect(await counts(owner, pool)).toEqual(whole)
  })

  test.each(["commit", "rollback"])("a release in flight of what is free as well, ended by %s", async (end) => {
    await damaged("update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.1'")
    await first.run("begin")
    await release(first, held)
    const answer = named()
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).not.toEqual([])
    expect(await findings()).toEqual([])
    await release(owner, held)
    expect(await counts(owner, pool)).toMatchObject({ held: 0, free: 3 })
  })

  test.each(["commit", "rollback"])("counts what is in flight once, ended by %s", async (end) => {
    await damaged("update ipam.pool_counter set held = held + 5 where pool_id = $1 and shard = 3")
    await first.run("begin")
    const requestId = randomUUID()
    expect(await allocate(first, { pool, requestId })).toMatchObject({ outcome: "allocated" })
    await release(first, held)
    expect(await owner.rows("select detail from ipam.repair('default', $1)", [pool])).toEqual([
      { detail: "was off by 5" },
    ])
    await first.run(end)
    expect(await findings()).toEqual([])
  })

  test("other pools and other addresses of the pool go on while it waits", async () => {
    const other = `other-${number}`
    await createPool(owner, other, `10.2.${number}.0/30`)
    await damaged("update ipam.free_extent set next = next - 2 where pool_id = $1 and host(last) like '%.2'")
    await first.run("begin")
    await first.rows("select from ipam.free_extent where pool_id = $1 and host(last) like '%.2' for update", [poolId])
    const answer = named()
    await untilBlocked(owner)
    const second = database().session()
    expect(await allocate(second, { pool: other, requestId: randomUUID() })).toMatchObject({ outcome: "allocated" })
    expect(await release(second, held)).toMatchObject({ outcome: "released" })
    await first.run("rollback")
    expect(await answer).not.toEqual([])
    await second.end()
  })
})

test("a free unit with a live holder is drift: nothing is given, and the doctor is named", async () => {
  const before = await live()
  await damaged("update ipam.free_extent set next = next - 1 where pool_id = $1 and host(last) like '%.1'")
  const requestId = randomUUID()
  expect(await allocate(owner, { pool, requestId })).toMatchObject({
    outcome: "drifted",
    detail: { address: address(0) },
  })
  expect(await allocate(owner, { pool, requestId, address: address(0) })).toMatchObject({ outcome: "drifted" })
  expect(await live()).toEqual(before)
  await repair(owner)
})
