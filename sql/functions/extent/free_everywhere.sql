-- Returns the units of allocations that were just released to their pools, in whatever VRFs those are: VRF by VRF, and
-- pool by pool within each, so that every function locks counters in the same order.
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
