-- The ranges of a pool that overlap first..last, both inclusive. Ranges are disjoint, so only one of them can begin
-- before the span.
create or replace function ipam.ranges_of(vrf text, pool_id bigint, first inet, last inet) returns setof ipam.range
language sql stable
begin atomic
  select r.*
  from ipam.range r
  where r.vrf = ranges_of.vrf and r.pool_id = ranges_of.pool_id and r.first > ranges_of.first
    and r.first <= ranges_of.last
  union all
  select before.*
  from (
    select r.*
    from ipam.range r
    where r.vrf = ranges_of.vrf and r.pool_id = ranges_of.pool_id and r.first <= ranges_of.first
    order by r.first desc
    limit 1
  ) before
  where before.last >= ranges_of.first;
end;
