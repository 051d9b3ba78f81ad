-- Gives the units of allocations that were just released back to their pools, and counts them, pool by pool in order.
create or replace function ipam.free_units(vrf text, released ipam.allocation[], at timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool record;
begin
  insert into ipam.free_extent (
    vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id, draining, cooling_until
  )
  select
    free_units.vrf, r.pool_id, r.range_id, ipam.available_after(r.reserved, p.cooldown, free_units.at), r.unit, r.unit, r.generation,
    r.owner_kind, r.owner_id, r.draining, ipam.cooling_until(r.reserved, p.cooldown, free_units.at)
  from unnest(released) r join ipam.pool p on p.vrf = free_units.vrf and p.pool_id = r.pool_id
  where r.unit is not null;

  for v_pool in
    select r.pool_id, count(*) as held, count(*) filter (where r.reserved) as reserved
    from unnest(released) r
    where r.unit is not null
    group by r.pool_id
    order by r.pool_id
  loop
    perform ipam.count_units(free_units.vrf, v_pool.pool_id, -v_pool.held, v_pool.reserved);
  end loop;
end
$function$;
