-- Whether the VRF has ever had a pool, so that a read that finds nothing can tell an empty VRF from a mistyped name.
-- `default` exists from the start.
create or replace function ipam.vrf_known(vrf text) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select vrf_known.vrf = 'default' or exists (select from ipam.vrf v where v.vrf = vrf_known.vrf);
$function$;
