-- Settles the covers of every range of a pool (ipam.settle_covers).
create or replace function ipam.settle_pool(vrf text, pool_id bigint) returns jsonb
language sql volatile
set search_path = pg_catalog, pg_temp
return (
  select ipam.settle_covers(
    settle_pool.vrf, settle_pool.pool_id, array_agg(r.first::inet order by r.first),
    array_agg(r.last::inet order by r.first)
  )
  from ipam.range r
  where r.vrf = settle_pool.vrf and r.pool_id = settle_pool.pool_id
);
