-- The live allocations in the given spans that disagree with the ranges and reservations of their pool. `outside` tells
-- that no range of the pool contains the unit.
--
-- The parameters are those of ipam.wrong_extents. Cost: an index probe for each live allocation of the spans.
create or replace function ipam.wrong_holders(
  vrf text, pool_id bigint, firsts inet[], lasts inet[], reserved ipam.inet_multirange
) returns table (request_id uuid, slot text, unit inet, owner_kind text, owner_id text, outside boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $function$
  select a.request_id, a.slot::text, a.unit, a.owner_kind, a.owner_id, home.range_id is null
  from unnest(wrong_holders.firsts, wrong_holders.lasts) s (first, last)
    join ipam.allocation a
      on a.vrf = wrong_holders.vrf and a.unit >= s.first and a.unit <= s.last and a.released_at is null
      and a.pool_id = wrong_holders.pool_id
    left join lateral (
      select r.range_id, r.last, r.draining
      from ipam.range r
      where r.vrf = wrong_holders.vrf and r.pool_id = wrong_holders.pool_id and r.first <= a.unit
      order by r.first desc
      limit 1
    ) home on home.last >= a.unit
  where home.range_id is null or home.range_id <> a.range_id or home.draining <> a.draining
    or a.reserved <> (wrong_holders.reserved @> a.unit);
$function$;
