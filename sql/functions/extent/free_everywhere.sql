-- Gives the units of allocations that were just released back to their pools, whatever VRFs they are of: VRF by VRF, and in each
-- pool by pool, so that counters are locked in one order by every function.
create or replace function ipam.free_everywhere(released ipam.allocation[], at timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_vrf record;
begin
  for v_vrf in
    select r.vrf::text as vrf, array_agg(r) as released from unnest(released) r group by r.vrf order by r.vrf
  loop
    perform ipam.free_units(v_vrf.vrf, v_vrf.released, free_everywhere.at);
  end loop;
end
$function$;
