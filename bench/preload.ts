/**
 * Creates pools that look as after long use: many addresses held, others released at random, each of these an extent of its own.
 * Written in bulk by SQL, with the rows that the same calls would have left, so that the doctor finds nothing.
 */
import type postgres from "postgres"
import type { Bench } from "./database.ts"

const preloadFunction = `
create or replace function public.preload(p_vrf text, p_pool text, p_held bigint, p_released bigint) returns void
language plpgsql as $function$
declare
  v_pool bigint;
  v_range bigint;
  v_first inet;
  v_used bigint := p_held + p_released;
  v_fingerprint bytea;
  v_stride bigint := case when p_released > 0 then v_used / p_released else 1 end;
begin
  select r.pool_id, r.range_id, r.first into strict v_pool, v_range, v_first
  from ipam.range r join ipam.pool p using (vrf, pool_id)
  where p.vrf = p_vrf and p.name = p_pool;
  v_fingerprint := ipam.fingerprint(v_pool, null, null, null);

  -- The lowest addresses were allocated in order; then one in each stride of them was released, at a pseudo-random position.
  insert into ipam.allocation (
    vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, allocated_at, confirmed_at, released_at, release_reason
  )
  select
    p_vrf, gen_random_uuid(), 'default', v_pool, v_range, v_first + n, 1, v_fingerprint,
    now(), now(), case when released then now() end, case when released then 'released' end
  from (
    select n, n / v_stride < p_released and n % v_stride = (hashint8(n / v_stride) & 2147483647) % v_stride as released
    from generate_series(0, v_used - 1) n
  ) used;

  delete from ipam.free_extent e where e.vrf = p_vrf and e.pool_id = v_pool and e.last < v_first + v_used;
  update ipam.free_extent e set next = v_first + v_used
  where e.vrf = p_vrf and e.pool_id = v_pool and e.next < v_first + v_used;
  insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation)
  select a.vrf, a.pool_id, a.range_id, a.unit, a.unit, a.generation
  from ipam.allocation a
  where a.vrf = p_vrf and a.pool_id = v_pool and a.released_at is not null;
  update ipam.pool_counter c set held = p_held / 64 + (c.shard < p_held % 64)::int where c.vrf = p_vrf and c.pool_id = v_pool;
end
$function$`

export interface PreloadedPool {
  /** Each pool has its own VRF, so that all may use the same addresses. */
  readonly vrf: string
  readonly pool: string
  readonly size: bigint
  readonly held: number
  readonly released: number
  /** A random sample of the held keys. */
  readonly keys: Array<string>
}

/** A pool to create: `range` is a prefix, `released` the number of single free addresses between the held ones. */
export interface Preload {
  readonly name: string
  readonly range: string
  readonly held: number
  readonly released: number
}

export const preload = async (
  { ipam, sql }: Bench,
  { name, range, held, released }: Preload,
): Promise<PreloadedPool> => {
  const vrf = `bench ${name}`
  const { size } = await ipam.createPool({ vrf, name, ranges: [range], includeNetworkAddresses: true })
  await sql.unsafe(preloadFunction)
  if (held > 0) await sql.unsafe("select public.preload($1, $2, $3, $4)", [vrf, name, held, released])
  return { vrf, pool: name, size, held, released, keys: await sample(sql, vrf, held) }
}

const sample = async (sql: postgres.Sql, vrf: string, held: number): Promise<Array<string>> => {
  const rows = await sql.unsafe<Array<{ request_id: string }>>(
    "select request_id from ipam.allocation where vrf = $1 and released_at is null and random() < $2 limit 4000",
    [vrf, Math.min(1, 3000 / Math.max(held, 1))],
  )
  return rows.map((row) => row.request_id)
}
