-- Whether a request holds any address, in any VRF. Cost: an index probe, and the keys of the request.
create or replace function ipam.holds_anything(request_id uuid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select coalesce(bool_or(a.released_at is null), false)
  from ipam.allocation a
  where a.request_id = holds_anything.request_id
);
