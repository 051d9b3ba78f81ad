/**
 * I8: no call on a key or an operation, nor one on what has expired, reads free extents, allocations or operations but by an index, whatever the statistics say.
 *
 * Plans are those that really ran, nested statements too, as auto_explain sends them to the client. `plans.json` holds the way
 * each call goes to each table; `SAGA_IPAM_TEST_WRITE_PLANS=1` writes it anew.
 */
import { randomUUID } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import postgres from "postgres"
import { expect, inject, test } from "vitest"
import { createDatabase } from "../harness/database.ts"

interface PlanNode {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Rows Removed by Filter"?: number
  readonly "Actual Rows"?: number
  readonly Plans?: ReadonlyArray<PlanNode>
}

const golden = new URL("plans.json", import.meta.url)
/** Two indexes find an operation by its id, and which of them is taken the statistics may say. */
const ledger = new Set(["operation", "operation_target"])
const watched = new Set(["free_extent", "allocation", "pool_counter", "pool", "range", ...ledger])
/** As many rows as a call on a few keys may read of a table at once. */
const fewRows = 64
const fill = `
  insert into ipam.allocation (vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, allocated_at, confirmed_at)
  select r.vrf, gen_random_uuid(), 'default', r.pool_id, r.range_id, '10.9.0.0'::inet + n, 1, '\\x00', now(), now()
  from ipam.range r, generate_series(0, 19999) n where r.first = '10.9.0.0'`
const fillPools = `
  with made as (
    insert into ipam.pool (vrf, name, family, size, cooldown, gateway, include_network_addresses, definition)
    select 'default', 'pool-' || n, 4, 256, '0', 'none', true, '{}' from generate_series(0, 199) n
    returning pool_id, split_part(name, '-', 2)::int as n
  )
  insert into ipam.range (vrf, pool_id, first, last, prefix_length)
  select 'default', pool_id, '10.10.0.0'::inet + 256 * n, '10.10.0.255'::inet + 256 * n, 24 from made`
/** Half of them pending, and each of those with a time of its own. */
const fillOperations = `
  with begun as (
    insert into ipam.operation (operation_id, vrf, kind, fingerprint, state, result, begun_at, finished_at, expires_in, expires_at)
    select
      gen_random_uuid(), 'default', 'Create', '\\x00', case n % 2 when 0 then 'pending' else 'succeeded' end,
      case n % 2 when 1 then 'null'::jsonb end, now(), case n % 2 when 1 then now() end, '1 day', now() + interval '1 day'
    from generate_series(1, 10000) n
    returning operation_id, vrf, kind, sequence, pending
  )
  insert into ipam.operation_target (operation_id, vrf, kind, id, sequence, pending)
  select operation_id, vrf, 'machine', operation_id, sequence, pending from begun`

/** Leaves the second range to what the tables are filled with. */
const useUpSecond =
  "delete from ipam.free_extent where range_id = (select range_id from ipam.range where first = '10.9.0.0')"

/** `released`: whatever was held has been released, so that the indexes on what is held are empty. */
const states = ["empty", "released", "full", "never analysed"] as const
type State = (typeof states)[number]

const scans = (node: PlanNode): Array<PlanNode> => [node, ...(node.Plans ?? []).flatMap(scans)]

const look = async (state: State) => {
  const database = await createDatabase()
  const notices: Array<string> = []
  const { host, port, user, password, database: name } = database.options()
  const client = postgres({
    max: 1,
    fetch_types: false,
    onnotice: (notice) => notices.push(notice.message ?? ""),
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(name === undefined ? {} : { database: name }),
  })
  try {
    await client.unsafe("select ipam.create_pool('default', 'pool', array['10.0.0.0/16', '10.9.0.0/16'])")
    if (state === "empty") await client.unsafe(
        "vacuum (analyze) ipam.free_extent, ipam.allocation, ipam.pool_counter, ipam.operation, ipam.operation_target",
      )
    // What stands in the tables once the plans are made: units that are held and free ones, each an extent of its own.
    const many = async () => {
      await client.unsafe(fill)
      await client.unsafe(fillPools)
      // Without the checks of foreign keys, each of which would be a plan to read.
      await client.unsafe(`set session_replication_role = replica; ${fillOperations}; set session_replication_role = origin`)
      await client.unsafe(`
        insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation)
        select r.vrf, r.pool_id, r.range_id, '10.9.128.0'::inet + 2 * n, '10.9.128.0'::inet + 2 * n, 1
        from ipam.range r, generate_series(0, 9999) n where r.first = '10.9.0.0'`)
    }
    await client.unsafe(useUpSecond)
    if (state === "released") {
      await client.unsafe(fill)
      await client.unsafe("select ipam.release('default', request_id) from ipam.allocation")
      await client.unsafe(useUpSecond)
      await client.unsafe("vacuum (analyze) ipam.free_extent, ipam.allocation")
    }
    const isFilledLater = state === "empty" || state === "released"
    if (!isFilledLater) await many()
    if (state === "full") await client.unsafe("analyze")
    await client.unsafe(`
      load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
      set auto_explain.log_analyze = on; set auto_explain.log_timing = off; set auto_explain.log_format = 'json';
      set auto_explain.log_level = 'log'; set client_min_messages = 'log'`)
    const found: Record<string, ReadonlyArray<string>> = {}
    const wasteful: Array<string> = []
    const seen = async (call: string, text: string, parameters: ReadonlyArray<string>) => {
      notices.length = 0
      await client.unsafe(text, [...parameters])
      const ways = new Set<string>()
      for (const notice of notices) {
        const start = notice.indexOf("{")
        if (!notice.includes("plan:") || start < 0) continue
        for (const node of scans((JSON.parse(notice.slice(start)) as { Plan: PlanNode }).Plan)) {
          if (!node["Node Type"].endsWith("Scan")) continue
          const table = node["Relation Name"] ?? ""
          if (!watched.has(table)) continue
          const isIndexed = ledger.has(table) && node["Node Type"] !== "Seq Scan"
          ways.add(isIndexed ? `${table}: Index` : `${table}: ${node["Node Type"]} ${node["Index Name"] ?? ""}`.trim())
          const read = (node["Actual Rows"] ?? 0) + (node["Rows Removed by Filter"] ?? 0)
          if (read > fewRows) wasteful.push(`${call}: ${table} ${read}`)
        }
      }
      expect(notices.some((notice) => notice.includes("plan:"))).toBe(true)
      found[call] = [...ways].toSorted()
    }
    const calls = async () => {
      const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()]
      await seen("allocate", "select ipam.allocate('default', 'pool', $1, ttl_seconds => 600)", [a])
      await seen("allocate, replayed", "select ipam.allocate('default', 'pool', $1, ttl_seconds => 600)", [a])
      await seen("allocate an address", "select ipam.allocate('default', 'pool', $1, address => '10.0.200.7')", [b])
      await seen("allocate_many", "select ipam.allocate_many('default', $1, array['a', 'b'], array['pool', 'pool'])", [
        c,
      ])
      const lists = [`{${randomUUID()},${randomUUID()}}`, "{a,b}"]
      await seen(
        "allocate_batch",
        `select ipam.allocate_batch(
          'default', 'pool', $1::uuid[], $2::text[], '{null,null}', '{null,null}', '{600,null}'
        )`,
        lists,
      )
      await seen("confirm_batch", "select ipam.confirm_batch('default', $1::uuid[], $2::text[])", lists)
      await seen("release_batch", "select ipam.release_batch('default', $1::uuid[], $2::text[])", lists)
      await seen("confirm", "select ipam.confirm('default', $1)", [a])
      await seen("extend", "select ipam.extend('default', $1, 'default', 60)", [a])
      await seen("get", "select ipam.get('default', $1)", [a])
      await seen("release", "select ipam.release('default', $1)", [a])
      await seen("release_many", "select ipam.release_many('default', $1, array['a', 'b'])", [c])
      await seen("release, b", "select ipam.release('default', $1)", [b])
      for (const end of ["succeeded", "unwound"]) {
        const id = randomUUID()
        await seen(
          "begin_operation",
          "select ipam.begin_operation($1::text::uuid, 'default', 'Create', null, '{default}', '{machine}', array[$1], null, true)",
          [id],
        )
        await seen("has_pending_operation", "select ipam.has_pending_operation('default', 'machine', $1)", [id])
        await seen("allocate under it", "select ipam.allocate('default', 'pool', $1, ttl_seconds => 600)", [id])
        await seen(`finish_operation ${end}`, `select ipam.finish_operation($1, '${end}')`, [id])
      }
      await seen("cancel_operation", "select ipam.cancel_operation($1)", [randomUUID()])
      await client.unsafe("select ipam.allocate('default', 'pool', $1, ttl_seconds => 0.000001)", [randomUUID()])
      await seen("count_expired", "select ipam.count_expired(vrf => $1)", ["default"])
      await seen("reclaim_expired", "select ipam.reclaim_expired(vrf => $1)", ["default"])
    }
    await calls()
    if (isFilledLater) await many()
    await calls()
    return { found, wasteful }
  } finally {
    await client.end()
    await database.drop()
  }
}

test.for(states)(
  "tables %s: every way is by an index, and reads next to nothing",
  async (state, { skip }) => {
    skip(!inject("isSuperuser"), "only a superuser can load auto_explain and switch off the checks of foreign keys")
    const { found, wasteful } = await look(state)
    expect(Object.entries(found).filter(([, ways]) => ways.some((way) => way.includes("Seq Scan")))).toEqual([])
    expect(wasteful).toEqual([])
    if (process.env["SAGA_IPAM_TEST_WRITE_PLANS"] === "1") writeFileSync(golden, `${JSON.stringify(found, null, 2)}\n`)
    expect(found).toEqual(JSON.parse(readFileSync(golden, "utf8")))
  },
)
