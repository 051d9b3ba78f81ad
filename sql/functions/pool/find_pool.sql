-- The id and name of a pool of a VRF, by its name or by its id (digits only, which no name is). No row if the VRF has
-- no such pool now.
create or replace function ipam.find_pool(vrf text, pool text) returns table (pool_id bigint, name text)
language sql stable
begin atomic
  select p.pool_id, p.name::text
  from ipam.pool p
  where p.vrf = find_pool.vrf and p.deleted_at is null and p.name = find_pool.pool
  union all
  select p.pool_id, p.name::text
  from ipam.pool p
  where p.vrf = find_pool.vrf and p.deleted_at is null
    and p.pool_id = case when find_pool.pool ~ '^[0-9]{1,18}$' then find_pool.pool::bigint end
  limit 1;
end;
