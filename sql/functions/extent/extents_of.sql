-- The extents of a pool that overlap first..last, both inclusive. Extents are disjoint and ordered by their last unit,
-- so only one of them can reach beyond the end.
create or replace function ipam.extents_of(
  vrf text, pool_id bigint, first inet, last inet
) returns setof ipam.free_extent
language sql stable
begin atomic
  select e.*
  from ipam.free_extent e
  where e.vrf = extents_of.vrf and e.pool_id = extents_of.pool_id and e.last >= extents_of.first
    and e.last <= extents_of.last
  union all
  select beyond.*
  from (
    select e.*
    from ipam.free_extent e
    where e.vrf = extents_of.vrf and e.pool_id = extents_of.pool_id and e.last > extents_of.last
    order by e.last
    limit 1
  ) beyond
  where beyond.next <= extents_of.last;
end;
