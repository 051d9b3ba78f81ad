/**
 * Fills a migrated database as after years of use, by SQL and not by calls, with the rows that calls would have left: the doctor finds
 * nothing. Half of what was ever allocated is held, the rest released long ago; a tenth of the held number lies free in extents of one
 * address each, as releases leave them.
 */
import type postgres from "postgres"
import { fromBigInt } from "../src/domain/address.ts"
import { assert } from "./database.ts"

/** The pools of a loaded database: few, so that a page of pools is the same page at every size. */
const VRFS = 2
const POOLS_OF_VRF = 5

export interface LoadedPool {
  readonly vrf: string
  readonly pool: string
  /** The first of its addresses, as a number. */
  readonly first: bigint
  /** How many are held: from the first on, without a gap. */
  readonly held: number
}

export interface Loaded {
  readonly pools: ReadonlyArray<LoadedPool>
  readonly held: number
  readonly tombstones: number
  /** Free extents of one address. */
  readonly fragments: number
}

/**
 * Keys of held addresses are UUIDs of version 4, evenly spread over all; keys of tombstones are of version 7, from a year to a hundred
 * days ago. Both are inserted in their own order, as are addresses and owners, so that every index grows at one end: ten times as fast.
 */
const loadFunction = `
create or replace function public.bulk_load(
  p_vrf text, p_pool text, p_held bigint, p_fragments bigint, p_from bigint, p_total bigint
) returns void
language plpgsql as $function$
declare
  v_pool bigint;
  v_range bigint;
  v_first inet;
  v_now timestamptz := now();
  v_year_ago bigint := extract(epoch from v_now - interval '365 days') * 1000;
  v_step bigint := 265 * 86400000::bigint / p_total;
  v_gap bigint := (1::bigint << 48) / p_total;
begin
  select r.pool_id, r.range_id, r.first into strict v_pool, v_range, v_first
  from ipam.range r join ipam.pool p using (vrf, pool_id)
  where p.vrf = p_vrf and p.name = p_pool;

  insert into ipam.allocation (
    vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, owner_kind, owner_id, allocated_at,
    confirmed_at
  )
  select
    p_vrf, (lpad(to_hex((p_from + n) * v_gap), 12, '0') || '4' || substr(x.hash, 1, 3) || '8' || substr(x.hash, 4, 15))::uuid,
    'default', v_pool, v_range, v_first + n, 2, ipam.fingerprint(v_pool, null, 'instance', x.owner), 'instance', x.owner,
    v_now, v_now
  from generate_series(0, p_held - 1) n
    cross join lateral (select md5(p_vrf || p_pool || n) as hash, 'i-' || lpad((p_from + n)::text, 10, '0') as owner) x;

  insert into ipam.allocation (
    vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, owner_kind, owner_id, allocated_at,
    confirmed_at, released_at, release_reason
  )
  select
    p_vrf,
    (lpad(to_hex(x.born), 12, '0') || '7' || substr(x.hash, 1, 3) || '8' || substr(x.hash, 4, 15))::uuid,
    'default', v_pool, v_range, v_first + p_fragments + n, 1, ipam.fingerprint(v_pool, null, 'instance', x.owner), 'instance',
    x.owner, to_timestamp(x.born / 1000.0), to_timestamp(x.born / 1000.0), to_timestamp(x.born / 1000.0 + 60), 'released'
  from generate_series(0, p_held - 1) n
    cross join lateral (
      select
        v_year_ago + (p_from + n) * v_step as born, md5(p_pool || p_vrf || n) as hash,
        'old-' || lpad((p_from + n)::text, 10, '0') as owner
    ) x;

  delete from ipam.free_extent e where e.vrf = p_vrf and e.pool_id = v_pool and e.last < v_first + p_held + p_fragments;
  update ipam.free_extent e set next = v_first + p_held + p_fragments
  where e.vrf = p_vrf and e.pool_id = v_pool and e.next < v_first + p_held + p_fragments;
  insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation)
  select p_vrf, v_pool, v_range, v_first + n, v_first + n, 1
  from generate_series(p_held, p_held + p_fragments - 1) n;
  update ipam.pool_counter c set held = p_held / 64 + (c.shard < p_held % 64)::int
  where c.vrf = p_vrf and c.pool_id = v_pool;
end
$function$`

export const ipv4 = (number: bigint): string => {
  const address = fromBigInt(4, number)
  assert(address !== undefined, `${number} is not the number of an IPv4 address`)
  return address
}

/** Loads so many held addresses and as many tombstones into a database without pools. */
export const bulkLoad = async (sql: postgres.Sql, total: number): Promise<Loaded> => {
  const held = Math.ceil(total / (VRFS * POOLS_OF_VRF))
  const fragments = Math.ceil(held / 10)
  // Twice as large as needed, so that there is room for what the benchmark allocates.
  const bits = Math.ceil(Math.log2(2 * (held + fragments)))
  const pools = Array.from({ length: VRFS * POOLS_OF_VRF }, (_, number) => {
    const first = BigInt(10 * 2 ** 24 + (number % POOLS_OF_VRF) * 2 ** bits)
    return { vrf: `vrf-${Math.floor(number / POOLS_OF_VRF)}`, pool: `pool-${number}`, first, held }
  })
  await sql.unsafe(loadFunction)
  for (const [number, { vrf, pool, first }] of pools.entries()) {
    await sql.unsafe("select ipam.create_pool($1, $2, array[$3], include_network_addresses => true)", [
      vrf,
      pool,
      `${ipv4(first)}/${32 - bits}`,
    ])
    await sql.unsafe("select public.bulk_load($1, $2, $3, $4, $5, $6)", [
      vrf,
      pool,
      held,
      fragments,
      number * held,
      held * pools.length,
    ])
  }
  await sql.unsafe("drop function public.bulk_load")
  await sql.unsafe("vacuum (analyze)")
  return { pools, held: held * pools.length, tombstones: held * pools.length, fragments: fragments * pools.length }
}
