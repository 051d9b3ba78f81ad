-- Creates the extents of ranges that have just been inserted: 64 in all or one a range, whichever is more, so that as
-- many callers can allocate at the same time. Units that were in cooldown when an earlier range was removed stay in
-- cooldown, for the owner who last held them.
create or replace function ipam.open_extents(vrf text, pool_id bigint, range_ids bigint[]) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_floor bigint := (select v.generation_floor from ipam.vrf v where v.vrf = open_extents.vrf);
  v_ranges ipam.inet_multirange := (
    select range_agg(ipam.unit_span(r.first, r.last))
    from ipam.range r
    where r.vrf = open_extents.vrf and r.range_id = any (range_ids)
  );
begin
  -- Parked extents of these ranges; what lies outside of them stays parked.
  with gone as (
    delete from ipam.parked_extent k
    where k.vrf = open_extents.vrf and v_ranges && ipam.unit_span(k.first, k.last)
    returning k.*
  ),

  live as (
    select g.* from gone g where g.available_at > v_now
  ),

  still_parked as (
    insert into ipam.parked_extent (vrf, first, last, available_at, last_owner_kind, last_owner_id)
    select
      l.vrf, lower(piece.span), coalesce(ipam.unit_prev(upper(piece.span)), l.last), l.available_at,
      l.last_owner_kind, l.last_owner_id
    from live l
      cross join lateral unnest(ipam.inet_multirange(ipam.unit_span(l.first, l.last)) - v_ranges) piece (span)
  )

  insert into ipam.free_extent (
    vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id, draining
  )
  select
    r.vrf, r.pool_id, r.range_id, l.available_at, greatest(l.first, r.first), least(l.last, r.last), v_floor,
    l.last_owner_kind, l.last_owner_id, r.draining
  from ipam.range r join live l on l.first <= r.last and l.last >= r.first
  where r.vrf = open_extents.vrf and r.range_id = any (range_ids);

  -- The rest is free.
  insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation, draining)
  select
    r.vrf, r.pool_id, r.range_id, ipam.unit_after(piece.first, n * piece.step),
    ipam.unit_after(piece.first, least((n + 1) * piece.step, piece.units) - 1), v_floor, r.draining
  from ipam.range r
    left join lateral (
      select range_agg(ipam.unit_span(e.next, e.last)) as spans
      from ipam.free_extent e
      where e.vrf = r.vrf and e.pool_id = r.pool_id and e.last >= r.first and e.last <= r.last
    ) cooling on true
    cross join lateral unnest(
      ipam.inet_multirange(ipam.unit_span(r.first, r.last)) - coalesce(cooling.spans, '{}')
    ) free (span)
    cross join lateral (
      select lower(free.span) as first, coalesce(ipam.unit_prev(upper(free.span)), r.last) as last
    ) ends
    cross join lateral (
      select ipam.unit_count(ends.first, ends.last) as units, ipam.unit_count(r.first, r.last) as of_range
    ) counted
    cross join lateral (
      select
        ends.first, counted.units,
        ceil(counted.units / greatest(1, ceil(ceil(64.0 / cardinality(range_ids)) * counted.units / counted.of_range))) as step
    ) piece
    cross join lateral generate_series(0::numeric, ceil(piece.units / piece.step) - 1) n
  where r.vrf = open_extents.vrf and r.range_id = any (range_ids);
end
$function$;
