-- Makes the extents and counters of one pool anew, for ipam.repair alone, under its locks.
create or replace function ipam.rebuild_pool(vrf text, pool_id bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_floor bigint := (select v.generation_floor from ipam.vrf v where v.vrf = rebuild_pool.vrf);
  v_cooldown interval := (select p.cooldown from ipam.pool p where p.vrf = rebuild_pool.vrf and p.pool_id = rebuild_pool.pool_id);
  v_range ipam.range;
  v_gap record;
begin
  delete from ipam.free_extent e where e.vrf = rebuild_pool.vrf and e.pool_id = rebuild_pool.pool_id;
  delete from ipam.pool_counter c where c.vrf = rebuild_pool.vrf and c.pool_id = rebuild_pool.pool_id;
  insert into ipam.pool_counter (vrf, pool_id, shard) select rebuild_pool.vrf, rebuild_pool.pool_id, n from generate_series(0, 63) n;

  -- What still cools: the last release of a unit that nobody holds now.
  insert into ipam.free_extent (vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id)
  select distinct on (a.unit)
    a.vrf, a.pool_id, r.range_id, a.released_at + v_cooldown, a.unit, a.unit, v_floor, a.owner_kind, a.owner_id
  from ipam.allocation a
    join ipam.range r on r.vrf = a.vrf and r.pool_id = a.pool_id and r.first <= a.unit and a.unit <= r.last
  where a.vrf = rebuild_pool.vrf and a.pool_id = rebuild_pool.pool_id and a.released_at + v_cooldown > clock_timestamp()
    and v_cooldown > '0'
    and not exists (select from ipam.allocation l where l.vrf = a.vrf and l.unit = a.unit and l.released_at is null)
  order by a.unit, a.released_at desc;

  for v_range in select r.* from ipam.range r where r.vrf = rebuild_pool.vrf and r.pool_id = rebuild_pool.pool_id order by r.first loop
    for v_gap in
      with taken as (
        select a.unit
        from ipam.allocation a
        where a.vrf = v_range.vrf and a.released_at is null and a.unit >= v_range.first and a.unit <= v_range.last
        union
        select e.next from ipam.free_extent e where e.vrf = v_range.vrf and e.range_id = v_range.range_id
      ),

      -- Before each taken unit, since the one before it or the start of the range; and after the last one.
      gap as (
        select
          coalesce(ipam.unit_next(lag(t.unit) over (order by t.unit)), v_range.first) as first, ipam.unit_prev(t.unit) as last
        from taken t
        union all
        select ipam.unit_next(max(t.unit)), v_range.last from taken t
        union all
        select v_range.first, v_range.last where not exists (select from taken)
      )

      select g.first, g.last from gap g where g.first <= g.last
    loop
      perform ipam.cut_free(
        v_range.vrf, v_range.pool_id, v_range.range_id, v_gap.first, v_gap.last, v_floor,
        ceil(64 * ipam.unit_count(v_gap.first, v_gap.last) / ipam.unit_count(v_range.first, v_range.last))::int
      );
    end loop;

    update ipam.allocation a
    set reserved = false
    where a.vrf = v_range.vrf and a.released_at is null and a.reserved and a.unit >= v_range.first and a.unit <= v_range.last;
  end loop;
  perform ipam.settle_pool(rebuild_pool.vrf, rebuild_pool.pool_id);

  perform ipam.count_units(
    rebuild_pool.vrf, rebuild_pool.pool_id,
    (select count(*) from ipam.allocation a where a.vrf = rebuild_pool.vrf and a.pool_id = rebuild_pool.pool_id and a.released_at is null), 0
  );
  update ipam.pool p
  set size = (select coalesce(sum(ipam.unit_count(r.first, r.last)), 0) from ipam.range r where r.vrf = p.vrf and r.pool_id = p.pool_id)
  where p.vrf = rebuild_pool.vrf and p.pool_id = rebuild_pool.pool_id;
  perform ipam.set_spread(rebuild_pool.vrf, rebuild_pool.pool_id);
end
$function$;
