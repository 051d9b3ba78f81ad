-- The VRFs that have a pool of this name or id, at most 20: those that the caller of an unknown pool may have meant.
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
