-- Whether a request holds any address, in any VRF. Cost: an index probe a VRF.
create or replace function ipam.holds_anything(request_id uuid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return exists (
  select
  from ipam.vrf v
    cross join lateral (
      select
      from ipam.allocation a
      where a.vrf = v.vrf and a.request_id = holds_anything.request_id and a.released_at is null
      limit 1
    ) held
);
