-- Repairs what ipam.doctor finds in one pool and says this repairs: extents, flags of extents and allocations, counters
-- and size, derived from the ranges, reservations and allocations. What is held never changes.
--
-- pool: a name, or an id if the doctor has no name for it, as of a deleted pool.
-- Returns one row for each repair: the check, how much was wrong, and what was done. No row: nothing was wrong.
-- Raises lock_not_available (55P03) if concurrent allocations or releases kept it waiting for 10 seconds; then nothing
-- was changed.
-- Repeatable. Safe beside any call: it locks the row of the pool and the covers that it changes, and no table; each of
-- its parts argues why its result holds at the commit (ipam.repair_extents, repair_gaps and settle_covers). The
-- difference between counters and counts is the same in every snapshot, since each call changes both, so one statement
-- finds what must be added.
-- Kept: cooldowns and generations (I6, I13).
-- Cost: linear in the covers of the pool and in the allocations of its VRF.
create or replace function ipam.repair(vrf text, pool text)
returns table (check_name text, detail text, done text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(repair.vrf, repair.pool);
  v_alive boolean := v_pool_id is not null;
  v_wrong record;
  v_units numeric;
  v_size numeric;
  v_ranges ipam.inet_multirange;
  v_count bigint;
begin
  v_pool_id := coalesce(v_pool_id, case when repair.pool ~ '^[0-9]{1,18}$' then repair.pool::bigint end);

  select * into v_wrong from ipam.repair_extents(repair.vrf, v_pool_id);
  return query
  select w.check_name, w.count || ' extents', w.done
  from (
    values
      ('extent out of order', v_wrong.disordered, 'removed'),
      ('extent outside its range', v_wrong.outside, 'what lay outside was removed'),
      ('extents overlap', v_wrong.overlapping, 'each unit was left in the extent with the longest cooldown'),
      ('free and held', v_wrong.held, 'what is held was cut out of them')
  ) w (check_name, count, done)
  where w.count > 0;
  if not v_alive then
    return;
  end if;

  v_units := ipam.repair_gaps(repair.vrf, v_pool_id);
  if v_units > 0 then
    return query
    select
      'neither free nor held', v_units || ' units', 'extents were created, available once no cooldown can still run';
  end if;

  -- Covers that disagree with the ranges and reservations.
  with home as (
    select
      coalesce(array_agg(r.first::inet order by r.first), '{}') as firsts,
      coalesce(array_agg(r.last::inet order by r.first), '{}') as lasts
    from ipam.range r
    where r.vrf = repair.vrf and r.pool_id = v_pool_id
  ),

  reserved as (
    select coalesce(range_agg(ipam.unit_span(s.first, s.last)), '{}') as spans
    from ipam.reservation s
    where s.vrf = repair.vrf and s.pool_id = v_pool_id
  )

  select extent.count as extents, holder.count as allocations into v_wrong
  from home
    cross join reserved
    cross join lateral (
      select count(*) from ipam.wrong_extents(repair.vrf, v_pool_id, home.firsts, home.lasts, reserved.spans)
    ) extent
    cross join lateral (
      select count(*) from ipam.wrong_holders(repair.vrf, v_pool_id, home.firsts, home.lasts, reserved.spans)
    ) holder;
  if v_wrong.extents + v_wrong.allocations > 0 then
    perform ipam.settle_pool(repair.vrf, v_pool_id);
    return query
    select
      'range, draining or reservation differs',
      format('%s extents, %s allocations', v_wrong.extents, v_wrong.allocations),
      'they now agree with the ranges and reservations';
  end if;

  select range_agg(ipam.unit_span(r.first, r.last)) into v_ranges
  from ipam.range r
  where r.vrf = repair.vrf and r.pool_id = v_pool_id;
  update ipam.free_extent e
  set generation = greatest(e.generation, w.generation)
  from (
    select home.extent_id, max(a.generation) as generation
    from ipam.allocation a
      cross join lateral (
        select f.extent_id, f.next, f.generation
        from ipam.free_extent f
        where f.vrf = repair.vrf and f.pool_id = v_pool_id and f.last >= a.unit
        order by f.last
        limit 1
      ) home
    where a.vrf = repair.vrf and a.released_at is not null and v_ranges @> a.unit and home.next <= a.unit
      and home.generation < a.generation
    group by home.extent_id
  ) w
  where e.extent_id = w.extent_id;
  get diagnostics v_count = row_count;
  if v_count > 0 then
    return query
    select 'generation would repeat', v_count || ' extents', 'given the largest generation of their units';
  end if;

  select
    coalesce(h.held, 0) - n.held as held, coalesce(e.reserved, 0) - n.reserved as reserved
  into v_wrong
  from (
    select coalesce(sum(c.held), 0)::bigint as held, coalesce(sum(c.reserved), 0) as reserved
    from ipam.pool_counter c
    where c.vrf = repair.vrf and c.pool_id = v_pool_id
  ) n
    cross join (
      select count(*) as held
      from ipam.allocation a
      where a.vrf = repair.vrf and a.pool_id = v_pool_id and a.released_at is null
    ) h
    cross join (
      select sum(ipam.unit_count(f.next, f.last)) as reserved
      from ipam.free_extent f
      where f.vrf = repair.vrf and f.pool_id = v_pool_id and f.available_at = 'infinity'
    ) e;
  if v_wrong.held <> 0 or v_wrong.reserved <> 0 then
    perform ipam.count_units(repair.vrf, v_pool_id, v_wrong.held, v_wrong.reserved);
    return query
    select w.check_name, 'was off by ' || -w.difference, 'the difference was added'
    from (
      values ('counter of held', v_wrong.held::numeric), ('counter of reserved', v_wrong.reserved)
    ) w (check_name, difference)
    where w.difference <> 0;
  end if;

  select coalesce(sum(ipam.unit_count(r.first, r.last)), 0) into v_size
  from ipam.range r
  where r.vrf = repair.vrf and r.pool_id = v_pool_id;
  return query
  update ipam.pool p
  set size = v_size
  from ipam.pool old
  where p.vrf = repair.vrf and p.pool_id = v_pool_id and old.vrf = p.vrf and old.pool_id = p.pool_id
    and p.size <> v_size
  returning 'size', 'was ' || old.size, 'set to ' || v_size;

  perform ipam.set_contention_offsets(repair.vrf, v_pool_id);
end
$function$;
