-- The VRFs that have a pool of that name or id, at most 20 of them: what an unknown pool was perhaps meant to be.
create or replace function ipam.vrfs_with_pool(pool text) returns text[]
language sql stable
begin atomic
  select coalesce(array_agg(found.vrf order by found.vrf), '{}')
  from (
    select v.vrf::text as vrf
    from ipam.vrf v cross join lateral ipam.find_pool(v.vrf, vrfs_with_pool.pool)
    order by v.vrf
    limit 20
  ) found;
end;
