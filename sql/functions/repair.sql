-- Rebuilds the free extents and counters of every pool from what is true: ranges, reservations and allocations.
--
-- Comes back: what ipam.doctor found before, so what was mended; nothing when all was well, and then nothing is changed.
-- Keeps I6: every rebuilt extent starts at the largest generation there ever was in the VRF. Keeps cooldowns: a unit whose last
-- release is younger than its pool's cooldown goes on cooling, for the owner who last held it.
-- Safe: nobody else writes meanwhile; it locks both tables against writers and waits for those at work.
create or replace function ipam.repair() returns table (check_name text, vrf text, pool text, detail text, repair text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_findings int;
  v_pool record;
begin
  perform ipam.check_isolation();
  lock table ipam.pool, ipam.range, ipam.free_extent, ipam.allocation, ipam.pool_counter in share row exclusive mode;
  return query select * from ipam.doctor();
  get diagnostics v_findings = row_count;
  if v_findings = 0 then
    return;
  end if;

  update ipam.vrf v
  set generation_floor = greatest(
    v.generation_floor,
    (select max(e.generation) from ipam.free_extent e where e.vrf = v.vrf),
    (select max(a.generation) from ipam.allocation a where a.vrf = v.vrf)
  );
  for v_pool in select p.vrf, p.pool_id from ipam.pool p where p.deleted_at is null order by p.vrf, p.pool_id loop
    perform ipam.rebuild_pool(v_pool.vrf, v_pool.pool_id);
  end loop;
end
$function$;
