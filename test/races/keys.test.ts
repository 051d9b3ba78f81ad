/** Two callers with one key: the first keeps its transaction open until it ends by commit or by rollback. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { allocate, allocateMany, confirm, counts, createPool, extend, release, untilBlocked } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { address, first, number, owner, pool, requestId, second } from "../harness/fixture.ts"

beforeEach(async () => {
  await createPool(owner, pool, address(0))
})

const reclaim = async (session: Session) => session.rows("select request_id from ipam.reclaim_expired(100)")
const expired = async () => {
  await allocate(first, { pool, requestId, ttlSeconds: 0.001 })
  await owner.until("select 1 from ipam.allocation where request_id = $1 and expires_at < clock_timestamp()", [
    requestId,
  ])
}

describe.each([
  ["commit", true],
  ["rollback", false],
] as const)("when the first transaction ends by %s", (end, committed) => {
  test("the second allocate of the last address with the same key replays, or allocates it", async () => {
    await first.run("begin")
    const { address } = await allocate(first, { pool, requestId })
    const answer = allocate(second, { pool, requestId })
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toMatchObject({ outcome: committed ? "replayed" : "allocated", address })
  })

  test("an allocate with the same key and another owner is refused as key_reused, or allocates", async () => {
    await first.run("begin")
    await allocate(first, { pool, requestId, owner: "a" })
    const answer = allocate(second, { pool, requestId, owner: "b" })
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toMatchObject({ outcome: committed ? "key_reused" : "allocated" })
  })

  test("a release during an allocate frees the address, or only leaves a tombstone", async () => {
    await first.run("begin")
    await allocate(first, { pool, requestId })
    const answer = release(second, requestId)
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toMatchObject({ outcome: "released", freed: committed })
    expect(await allocate(first, { pool, requestId })).toMatchObject({ outcome: "key_released" })
    expect(await counts(owner, pool)).toMatchObject({ held: 0, free: 1 })
  })

  test("an allocate during the release of an unknown key is refused, or allocates", async () => {
    await first.run("begin")
    await release(first, requestId)
    const answer = allocate(second, { pool, requestId })
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toMatchObject({ outcome: committed ? "key_released" : "allocated" })
  })

  test("an allocate during the release of the last address is refused as exhausted, since its snapshot shows it held", async () => {
    await allocate(first, { pool, requestId })
    await first.run("begin")
    await release(first, requestId)
    expect(await allocate(second, { pool, requestId: randomUUID() })).toMatchObject({ outcome: "exhausted" })
    await first.run(end)
    expect(await allocate(second, { pool, requestId: randomUUID() })).toMatchObject({
      outcome: committed ? "allocated" : "exhausted",
    })
  })

  test("two releases of one key free its address once", async () => {
    await allocate(first, { pool, requestId })
    await first.run("begin")
    await release(first, requestId)
    const answer = release(second, requestId)
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toMatchObject(
      committed ? { outcome: "already_released", freed: false } : { outcome: "released", freed: true },
    )
    expect(await counts(owner, pool)).toMatchObject({ held: 0, free: 1 })
  })

  test.each([
    ["confirm", "confirmed"],
    ["extend", "extended"],
  ] as const)("%s waits for a reclaim in flight", async (verb, success) => {
    await expired()
    await first.run("reset role; begin")
    expect(await reclaim(first)).toHaveLength(1)
    const answer = verb === "confirm" ? confirm(second, requestId) : extend(second, requestId, 600)
    await untilBlocked(owner)
    await first.run(end)
    await first.run("set role ipam_allocator")
    expect(await answer).toMatchObject({ outcome: committed ? "expired" : success })
  })

  test("a reclaim skips an allocation whose confirm is in flight", async () => {
    await expired()
    await first.run("begin")
    expect(await confirm(first, requestId)).toMatchObject({ outcome: "confirmed" })
    expect(await reclaim(owner)).toEqual([])
    await first.run(end)
    expect(await reclaim(owner)).toHaveLength(committed ? 0 : 1)
  })

  test("several slots of one request in flight in another transaction replay, or are allocated", async () => {
    const slots = [
      { slot: "a", pool: `more-${number}` },
      { slot: "b", pool },
    ]
    await createPool(owner, `more-${number}`, `10.${number}.1.0-10.${number}.1.200`)
    await first.run("begin")
    await allocateMany(first, requestId, slots)
    const answer = allocateMany(second, requestId, slots.toReversed())
    await untilBlocked(owner)
    await first.run(end)
    const outcome = committed ? "replayed" : "allocated"
    expect((await answer).map((one) => one.outcome)).toEqual([outcome, outcome])
  })
})

test.each(["confirm", "extend"])("%s of several slots includes those that appear while it waits", async (verb) => {
  await createPool(owner, `more-${number}`, `10.${number}.1.0-10.${number}.1.3`)
  await allocate(owner, { pool, requestId, slot: "b", ttlSeconds: 600 })
  await first.run("reset role; begin")
  await first.rows("select 1 from ipam.allocation where request_id = $1 for update", [requestId])
  const answer = second.rows(
    verb === "confirm"
      ? "select outcome from ipam.confirm_many('default', $1, array['a', 'b'])"
      : "select outcome from ipam.extend_many('default', $1, array['a', 'b'], 60)",
    [requestId],
  )
  await untilBlocked(owner)
  await allocate(owner, { pool: `more-${number}`, requestId, slot: "a", ttlSeconds: 600 })
  await first.run("commit; set role ipam_allocator")
  expect(await answer).toEqual([{ outcome: `${verb}ed` }, { outcome: `${verb}ed` }])
})
