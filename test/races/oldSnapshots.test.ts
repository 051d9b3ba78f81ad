/** A caller alone beside a transaction that keeps an old snapshot, so that no dead row version can be removed. */
import { randomUUID } from "node:crypto"
import { expect, onTestFinished, test } from "vitest"
import { allocate, createPool, release } from "../harness/calls.ts"
import { address, database, first, number, owner, pool } from "../harness/fixture.ts"
import type { Session } from "../harness/database.ts"
import { until } from "../harness/until.ts"

/** Sessions see only what they themselves have read, so the reads are counted in the one that calls. */
const entriesRead = (indexes: ReadonlyArray<string>) => `(
  select sum(pg_stat_get_xact_tuples_returned(index::regclass))
  from unnest('{${indexes.map((index) => `ipam.${index}`).join(",")}}'::text[]) index
)`

/** How a cycle allocates and releases, and the indexes whose entries count: of one key, or of eight in one statement each. */
const ways = {
  "one key": [
    ["free_extent_pick", "free_extent_last", "allocation_unit"],
    () => `perform ipam.allocate('default', '${pool}', v_keys[1])`,
    "perform ipam.release('default', v_keys[1])",
  ],
  // Not the index of its guard, which finds eight times as much there, whatever it was that was picked.
  "eight keys in one statement": [
    ["free_extent_pick"],
    () =>
      `perform ipam.allocate_batch(
        'default', '${pool}', v_keys, array_fill('default'::text, '{8}'),
        array_fill(null::text, '{8}'), array_fill(null::text, '{8}'), array_fill(null::float8, '{8}')
      )`,
    "perform ipam.release_batch('default', v_keys, array_fill('default'::text, '{8}'))",
  ],
} as const
type Way = keyof typeof ways

/** Allocates and releases so many times, each in a transaction of its own, and returns the index entries read by a cycle on average. */
const cycle = async (session: Session, cycles: number, way: Way = "one key"): Promise<number> => {
  const [indexes, take, giveBack] = ways[way]
  const read = entriesRead(indexes)
  await session.run(`
    do $$
    declare
      v_keys uuid[];
      v_before bigint;
      v_read bigint := 0;
    begin
      for n in 1..${cycles} loop
        v_keys := array(select gen_random_uuid() from generate_series(1, 8));
        v_before := ${read};
        ${take()};
        v_read := v_read + ${read} - v_before;
        commit;
        v_before := ${read};
        ${giveBack};
        v_read := v_read + ${read} - v_before;
        commit;
      end loop;
      perform set_config('test.read', v_read::text, false);
    end
    $$`)
  const [row] = await session.rows("select current_setting('test.read') as read")
  return Number(row?.["read"]) / cycles
}

/** A session of the owner, who may look at the statistics; the function itself runs with the same rights for every caller. */
const openSession = () => {
  const session = database().session()
  onTestFinished(session.end)
  return session
}
const openSnapshot = async () => {
  const session = openSession()
  await session.run("begin isolation level repeatable read; select from ipam.pool")
  return session
}

test.each(Object.keys(ways) as Array<Way>)(
  "allocating and releasing %s reads few dead index entries, however many there are",
  async (way) => {
    await createPool(owner, pool, `10.${number}.0.0/16`)
    await openSnapshot()
    const session = openSession()
    await cycle(session, 1000, way)
    // From the lowest extent each of these cycles would read a thousand and more.
    expect(await cycle(session, 300, way)).toBeLessThan(400)
  },
)

test("the lowest address is allocated again soon after the snapshot has gone", async () => {
  await createPool(owner, pool, `10.${number}.0.0/16`)
  const snapshot = await openSnapshot()
  const session = openSession()
  await cycle(session, 300)
  await snapshot.run("rollback")
  // After a sixteenth as many calls as there were entries, one tries the lowest again, and removes them, unless another test or one of the
  // server's own processes has a transaction open at that moment.
  await until("the lowest address", async () => {
    await cycle(session, 60)
    const key = randomUUID()
    const found = await allocate(session, { pool, requestId: key })
    await release(session, key)
    return found.address === address(1)
  })
})

test("many dead entries that nobody can see any more do not keep a caller from the lowest address", async () => {
  // Unless one of the server's own processes keeps a snapshot at that moment.
  let attempt = 0
  await until("four calls that get the lowest address", async () => {
    attempt += 1
    // What the calls of an earlier attempt read is no reason for these to start elsewhere.
    await first.run("reset ipam.detours")
    const name = `${pool}-${attempt}`
    const prefix = `10.${10 * number + attempt}`
    await createPool(owner, name, `${prefix}.0.0/16`)
    // Four hundred extents of one address, used up in one transaction: the next caller reads what is left of them.
    const keys = await owner.rows(
      `select k.id from (select gen_random_uuid() as id from generate_series(1, 400)) k
      cross join lateral ipam.allocate('default', $1, k.id) a`,
      [name],
    )
    await owner.rows("select ipam.release('default', id::uuid) from unnest(string_to_array($1, ',')) id", [
      keys.map((key) => String(key["id"])).join(","),
    ])
    await owner.rows("select ipam.allocate('default', $1, gen_random_uuid()) from generate_series(1, 399)", [name])
    // Transactions of other tests, too, keep what has ended after they began, as long as they are open.
    const [used] = await owner.rows("select pg_snapshot_xmax(pg_current_snapshot())::text as next")
    await owner.until("select where pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8", [
      String(used?.["next"]),
    ])
    for (let call = 0; call < 4; call += 1) {
      const key = randomUUID()
      const { address: found } = await allocate(first, { pool: name, requestId: key })
      await release(first, key)
      if (found !== `${prefix}.1.${400 - 256}`) return false
    }
    return true
  })
})
