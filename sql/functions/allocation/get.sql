-- What a key is: its allocation (`held`) or its tombstone (`released`). No row is not final: an allocation of the key
-- may be in flight.
create or replace function ipam.get(vrf text, request_id uuid, slot text default 'default') returns setof ipam.answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from ipam.allocation a
    cross join lateral ipam.listed(a) x
  where a.vrf = get.vrf and a.request_id = get.request_id and a.slot = get.slot;
$function$;
