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
  v_free record;
  v_ranges ipam.inet_multirange := (
    select range_agg(ipam.unit_span(r.first, r.last))
    from ipam.range r
    where r.vrf = open_extents.vrf and r.range_id = any (range_ids)
  );
begin
  -- Parked extents that lie in these ranges; the parts outside of them stay parked.
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

  -- The rest is free at once. Each span gets its share of the extents of its range, in proportion to its units.
  for v_free in
    select
      r.range_id, ends.first, ends.last,
      ceil(
        ceil(64.0 / cardinality(range_ids)) * ipam.unit_count(ends.first, ends.last) / ipam.unit_count(r.first, r.last)
      )::int as pieces
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
    where r.vrf = open_extents.vrf and r.range_id = any (range_ids)
  loop
    perform ipam.cut_free(
      open_extents.vrf, v_free.range_id, v_free.first, v_free.last, v_floor, v_free.pieces, '-infinity'
    );
  end loop;
end
$function$;
