/**
 * Changes of pools, ranges and reservations beside allocations and releases that are held open, at the points where a change that
 * proves its result with two statements would miss what happens between them.
 */
import { randomUUID } from "node:crypto"
import { afterEach, beforeAll, describe, expect, test } from "vitest"
import { allocate, counts, createPool, release, untilBlocked } from "../harness/calls.ts"
import type { Session } from "../harness/database.ts"
import { address, database, first, owner, pool, second, span } from "../harness/fixture.ts"

let operator: Session

beforeAll(async () => {
  operator = database().session()
  // A session with `test.pause` on pauses after each deletion of extents, for as long as another session holds advisory lock 1.
  await owner.run(`
    create function public.pause() returns trigger language plpgsql as $$
    begin
      if current_setting('test.pause', true) = 'on' then
        perform pg_advisory_lock_shared(1);
        perform pg_advisory_unlock_shared(1);
      end if;
      return null;
    end $$;
    create trigger pause after delete on ipam.free_extent for each statement execute function public.pause()`)
})
const outcome = async (call: string, ...parameters: ReadonlyArray<string>) => {
  const [row] = await operator.rows(`select outcome from ipam.${call}`, [pool, ...parameters])
  return row?.["outcome"]
}
const allocateAt = async (session: Session, last: number, rest: { readonly allowReserved?: boolean } = {}) => {
  const requestId = randomUUID()
  expect(await allocate(session, { pool, requestId, address: address(last), ...rest })).toMatchObject({
    outcome: "allocated",
  })
  return requestId
}

describe.each([
  ["delete_pool", () => outcome("delete_pool('default', $1)"), ["deleted", "pool_in_use"]],
  ["remove_range", () => outcome("remove_range('default', $1, $2)", span(8, 9)), ["removed", "range_in_use"]],
] as const)("%s", (name, change, outcomes) => {
  const pauseDeletions = async () => {
    await operator.run("set test.pause = 'on'")
    await owner.run("select pg_advisory_lock(1)")
  }
  const resumeUntilNextDeletion = async () => {
    await owner.run("select pg_advisory_unlock(1)")
    await owner.run("select pg_advisory_lock(1)")
  }
  afterEach(async () => {
    await owner.run("select pg_advisory_unlock_all()")
    await operator.run("reset test.pause")
  })

  test("leaves nothing behind of an address that is released, allocated and released between its statements", async () => {
    await createPool(owner, pool, span(8, 9))
    const held = await allocateAt(second, 9)
    await pauseDeletions()
    const answer = change()
    /** Resolves when the change pauses, or has ended. */
    const untilPaused = () =>
      owner.until(
        `select 1 from pg_stat_activity
         where datname = current_database() and query like '%ipam.' || $1 || '%' and pid <> pg_backend_pid()
           and (state = 'idle' or cardinality(pg_blocking_pids(pid)) > 0)`,
        [name],
      )
    await untilPaused()
    await release(second, held)
    await first.run("begin")
    const late = randomUUID()
    const taken = await allocate(first, { pool, requestId: late, address: address(9) })
    await resumeUntilNextDeletion()
    if (taken.outcome === "allocated") await untilPaused()
    await first.run("commit")
    await untilPaused()
    await release(second, late)
    await owner.run("select pg_advisory_unlock_all()")
    expect(outcomes).toContain(await answer)
    expect(await owner.rows("select * from ipam.doctor()")).toEqual([])
    expect(
      await owner.rows(
        "select e.next from ipam.free_extent e where not exists (select from ipam.range r where r.range_id = e.range_id)",
      ),
    ).toEqual([])
  })
})

describe("lifting the reservation of", () => {
  test.each(["commit", "rollback"])(
    "an address waits for a release of it that ends by %s, and catches what it freed",
    async (end) => {
      await createPool(owner, pool, span(0, 7), { reserve: address(5) })
      const held = await allocateAt(second, 5, { allowReserved: true })
      await first.run("begin")
      await release(first, held)
      const answer = outcome("unreserve('default', $1, $2)", address(5))
      await untilBlocked(owner)
      await first.run(end)
      expect(await answer).toBe("unreserved")
      await release(second, held)
      expect(await counts(owner, pool)).toMatchObject({ reserved: 0, free: 8, held: 0 })
      await allocateAt(second, 5)
    },
  )

  test.each(["commit", "rollback"])("a span waits for an allocation in it that ends by %s", async (end) => {
    await createPool(owner, pool, span(0, 99), { reserve: span(0, 99) })
    await first.run("begin")
    const held = await allocateAt(first, 51, { allowReserved: true })
    const answer = outcome("unreserve('default', $1, $2)", span(0, 99))
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toBe("unreserved")
    expect(await counts(owner, pool)).toMatchObject({ reserved: 0, free: end === "commit" ? 99 : 100 })
    await release(second, held)
    expect(await counts(owner, pool)).toMatchObject({ reserved: 0, free: 100 })
  })
})

test.each(["commit", "rollback"])(
  "draining waits for an allocation and a release in flight that end by %s, and covers both",
  async (end) => {
    await createPool(owner, pool, span(0, 3))
    const held = await allocateAt(second, 1)
    await first.run("begin")
    await release(first, held)
    const taken = await allocateAt(first, 2)
    const answer = outcome("set_draining('default', $1, true)")
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toBe("draining")
    for (const key of [held, taken]) await release(second, key)
    expect(await allocate(second, { pool, requestId: randomUUID() })).toMatchObject({ outcome: "exhausted" })
    expect(await outcome("set_draining('default', $1, false)")).toBe("active")
    expect(await counts(owner, pool)).toMatchObject({ free: 4 })
    expect(await allocate(second, { pool, requestId: randomUUID() })).toMatchObject({ outcome: "allocated" })
  },
)

test.each(["commit", "rollback"])(
  "a part of a range is removed between a release and an allocation in flight that end by %s",
  async (end) => {
    await createPool(owner, pool, span(0, 9))
    const above = await allocateAt(second, 8)
    await first.run("begin")
    await release(first, above)
    const below = await allocateAt(first, 1)
    const answer = outcome("remove_range('default', $1, $2)", span(4, 5))
    await untilBlocked(owner)
    await first.run(end)
    expect(await answer).toBe("removed")
    for (const key of [above, below]) await release(second, key)
    expect(await counts(owner, pool)).toMatchObject({ size: 8, free: 8, held: 0 })
  },
)

test("a change releases its locks while it waits for an idle transaction, so that others can allocate", async () => {
  await createPool(owner, pool, span(0, 199))
  await first.run("begin")
  await allocateAt(first, 150)
  const answer = outcome("set_draining('default', $1, true)")
  await untilBlocked(owner)
  // It waits for the extent of .150 and has locked those below: an allocation there succeeds all the same.
  await allocateAt(second, 20)
  await first.run("commit")
  expect(await answer).toBe("draining")
})
