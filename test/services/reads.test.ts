/**
 * I8: what a call reads does not depend on how much there is, whatever the planner believed when the plan was made. Counted by
 * the server, in the transaction of the call. One session makes its plans on empty tables and keeps them.
 */
import { randomUUID } from "node:crypto"
import { expect, test } from "vitest"
import type { Session } from "../harness/database.ts"
import { useDatabase } from "../harness/database.ts"

const database = useDatabase()

/** What this session has read of the hot tables and not yet reported: whole scans, and rows by index. */
const counters = async (session: Session) => {
  const rows = await session.rows(
    `select relname, coalesce(seq_scan, 0)::int as whole, coalesce(idx_tup_fetch, 0)::int as rows
     from pg_stat_xact_user_tables
     where schemaname = 'ipam' and relname in ('allocation', 'free_extent', 'pool_counter')
     order by relname`,
  )
  return rows.map((row) => ({ table: String(row["relname"]), whole: Number(row["whole"]), rows: Number(row["rows"]) }))
}
const reads = async (session: Session, call: string) => {
  await session.run("begin")
  const before = await counters(session)
  const [answer] = await session.rows(`select outcome from ipam.${call}`)
  const after = await counters(session)
  await session.run("commit")
  const counted = after.map(({ table, whole, rows }) => {
    const old = before.find((one) => one.table === table)
    return { table, whole: whole - (old?.whole ?? 0), rows: rows - (old?.rows ?? 0) }
  })
  return { outcome: answer?.["outcome"], counted }
}

test("a call reads a bounded number of rows, in tables that are empty, vacuumed, full and analysed", async () => {
  const session = database().session()
  await session.run("vacuum analyze ipam.allocation, ipam.free_extent")
  await session.rows("select ipam.create_pool('default', 'wide', array['10.0.0.0/16'])")
  await session.rows("select ipam.create_pool('default', 'full', array['10.1.0.0/30'])")
  const known = randomUUID()
  const check = async () => {
    const key = randomUUID()
    for (const [call, outcome] of [
      [`allocate('default', 'wide', '${key}')`, "allocated"],
      [`allocate('default', 'wide', '${key}')`, "replayed"],
      [`allocate_many('default', '${randomUUID()}', array['a', 'b'], array['wide', 'wide'])`, "allocated"],
      [`release('default', '${key}')`, "released"],
      [`allocate('default', 'full', '${randomUUID()}')`, "exhausted"],
      [`confirm('default', '${known}')`, "confirmed"],
      ["get_pool('default', 'wide')", "found"],
      ["list_pools('default', page_size => 1)", "found"],
      ["create_pool('default', 'wide', array['10.0.0.0/16'])", "exists"],
    ] as const) {
      const read = await reads(session, call)
      expect(read.outcome).toBe(outcome)
      for (const table of read.counted) {
        expect(table, call).toMatchObject({ whole: 0 })
        // A pool, or its exhaustion, tells its counts: the sum over 64 shards.
        const tellsCounts = ["exhausted", "found", "exists"].includes(outcome)
        expect(table.rows, `${call} on ${table.table}`).toBeLessThanOrEqual(tellsCounts ? 70 : 16)
      }
    }
  }
  for (const pool of ["full", "full"])
    await session.rows("select ipam.allocate('default', $1, $2)", [pool, randomUUID()])
  await session.rows("select ipam.allocate('default', 'wide', $1)", [known])
  await check()
  await session.rows(
    "select count(*) from generate_series(1, 5000) n, lateral ipam.allocate('default', 'wide', gen_random_uuid(), n::text) a",
  )
  await check()
  await session.rows(
    "select count(*) from (select ipam.release(vrf, request_id, slot) from ipam.allocation where released_at is null and slot ~ '[05]$') released",
  )
  await check()
  await session.run("analyze ipam.allocation, ipam.free_extent")
  await check()
  const later = database().session()
  await later.run("analyze ipam.allocation")
  expect((await reads(later, `allocate('default', 'wide', '${randomUUID()}')`)).outcome).toBe("allocated")
})
