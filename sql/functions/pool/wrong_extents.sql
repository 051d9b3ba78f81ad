-- The extents in the given spans that disagree with the ranges and reservations of their pool: outside of a range,
-- across two, or draining or reserved where they should not be, or the reverse.
--
-- firsts, lasts: the spans, both ends inclusive. reserved: everything that is reserved of the pool there.
-- Cost: an index probe for each extent of the spans.
create or replace function ipam.wrong_extents(
  vrf text, pool_id bigint, firsts inet[], lasts inet[], reserved ipam.inet_multirange
) returns setof bigint
language sql stable
set search_path = pg_catalog, pg_temp
as $function$
  select e.extent_id
  from unnest(wrong_extents.firsts, wrong_extents.lasts) s (first, last)
    cross join lateral ipam.extents_of(wrong_extents.vrf, wrong_extents.pool_id, s.first, s.last) e
    left join lateral (
      select r.range_id, r.last, r.draining
      from ipam.range r
      where r.vrf = wrong_extents.vrf and r.pool_id = wrong_extents.pool_id and r.first <= e.next
      order by r.first desc
      limit 1
    ) home on home.last >= e.last
  where home.range_id is null or home.range_id <> e.range_id or home.draining <> e.draining
    or case
      when e.available_at = 'infinity' then not wrong_extents.reserved @> ipam.unit_span(e.next, e.last)
      else wrong_extents.reserved && ipam.unit_span(e.next, e.last)
    end;
$function$;
