-- Creates extents for the units of a pool that are neither free nor held. For ipam.repair alone, which holds the row of
-- the pool and has made its extents disjoint.
--
-- Returns how many units that were.
-- Safe: a unit without a cover can be neither allocated nor released, so a gap that one snapshot shows stays a gap.
-- Kept: I6, since they take the largest generation there ever was in the VRF. I13, since a unit stays in cooldown by
-- its last tombstone, else by its parked extent; if its tombstone may have been pruned, until the cooldown of any such
-- tombstone must have passed.
-- Cost: linear in the covers of the pool; if there are gaps, also in the allocations of the VRF.
create or replace function ipam.repair_gaps(vrf text, pool_id bigint) returns numeric
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_gaps ipam.inet_multirange;
  v_known ipam.inet_multirange;
  v_generation bigint;
  v_cooldown interval := (
    select p.cooldown from ipam.pool p where p.vrf = repair_gaps.vrf and p.pool_id = repair_gaps.pool_id
  );
  v_pruned_before timestamptz := (select r.pruned_before from ipam.retention r);
  v_unknown_until timestamptz := '-infinity';
  v_gap record;
  v_units numeric := 0;
begin
  with home as (
    select r.range_id, r.first, r.last
    from ipam.range r
    where r.vrf = repair_gaps.vrf and r.pool_id = repair_gaps.pool_id
  ),

  cover as (
    select h.range_id, h.first as range_first, h.last as range_last, c.next, c.last
    from home h
      cross join lateral (
        select e.next, e.last
        from ipam.free_extent e
        where e.vrf = repair_gaps.vrf and e.pool_id = repair_gaps.pool_id and e.last >= h.first and e.last <= h.last
        union all
        select a.unit, a.unit
        from ipam.allocation a
        where a.vrf = repair_gaps.vrf and a.unit >= h.first and a.unit <= h.last and a.released_at is null
      ) c
  ),

  -- Gaps lie between adjacent covers, before the first and after the last cover of a range, or fill it.
  gap as (
    select
      coalesce(ipam.unit_next(lag(c.last) over (partition by c.range_id order by c.last)), c.range_first) as first,
      ipam.unit_prev(c.next) as last
    from cover c
    union all
    select ipam.unit_next(max(c.last)), c.range_last from cover c group by c.range_id, c.range_last
    union all
    select h.first, h.last from home h where not exists (select from cover c where c.range_id = h.range_id)
  )

  select range_agg(ipam.unit_span(g.first, g.last)) into v_gaps from gap g where g.first <= g.last;
  if v_gaps is null then
    return 0;
  end if;

  v_generation := greatest(
    (select v.generation_floor from ipam.vrf v where v.vrf = repair_gaps.vrf),
    (select max(a.generation) from ipam.allocation a where a.vrf = repair_gaps.vrf)
  );
  if v_cooldown > '0' and v_pruned_before > '-infinity' and v_pruned_before + v_cooldown > v_now then
    v_unknown_until := v_pruned_before + v_cooldown;
  end if;

  with released as (
    select distinct on (a.unit)
      a.unit as first, a.unit as last, a.released_at + v_cooldown as until, a.owner_kind, a.owner_id
    from ipam.allocation a
    where a.vrf = repair_gaps.vrf and a.released_at is not null and v_gaps @> a.unit
    order by a.unit, a.released_at desc
  ),

  seen as (
    select range_agg(ipam.unit_span(r.first, r.last)) as spans from released r
  ),

  known as (
    select ipam.unit_span(r.first, r.last) as span, r.last, r.until, r.owner_kind, r.owner_id from released r
    union all
    select piece.span, k.last, k.available_at, k.last_owner_kind, k.last_owner_id
    from ipam.parked_extent k
      cross join seen
      cross join lateral unnest(
        ipam.inet_multirange(ipam.unit_span(k.first, k.last)) * v_gaps - coalesce(seen.spans, '{}')
      ) piece (span)
    where k.vrf = repair_gaps.vrf and v_gaps && ipam.unit_span(k.first, k.last)
  ),

  cooling as (
    insert into ipam.free_extent (
      vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id
    )
    select
      repair_gaps.vrf, repair_gaps.pool_id, r.range_id, k.until, greatest(lower(k.span), r.first),
      least(coalesce(ipam.unit_prev(upper(k.span)), k.last), r.last), v_generation, k.owner_kind, k.owner_id
    from known k
      join ipam.range r
        on r.vrf = repair_gaps.vrf and r.pool_id = repair_gaps.pool_id
        and ipam.unit_span(r.first, r.last) && k.span
    where k.until > v_now
  )

  -- A tombstone whose cooldown has passed counts as known, too.
  select range_agg(k.span) into v_known from known k;

  for v_gap in
    select
      r.range_id, lower(piece.span) as first, coalesce(ipam.unit_prev(upper(piece.span)), r.last) as last,
      ipam.unit_count(r.first, r.last) as of_range, part.available_at
    from ipam.range r
      left join lateral (
        select range_agg(ipam.unit_span(e.next, e.last)) as spans
        from ipam.free_extent e
        where e.vrf = repair_gaps.vrf and e.pool_id = repair_gaps.pool_id and e.last >= r.first and e.last <= r.last
      ) covered on true
      cross join lateral (
        select v_gaps * ipam.inet_multirange(ipam.unit_span(r.first, r.last)) - coalesce(covered.spans, '{}') as spans
      ) free
      cross join lateral (
        values
          (
            case when v_unknown_until = '-infinity' then free.spans else free.spans * coalesce(v_known, '{}') end,
            '-infinity'
          ),
          (case when v_unknown_until > '-infinity' then free.spans - coalesce(v_known, '{}') end, v_unknown_until)
      ) part (spans, available_at)
      cross join lateral unnest(part.spans) piece (span)
    where r.vrf = repair_gaps.vrf and r.pool_id = repair_gaps.pool_id
  loop
    perform ipam.cut_free(
      repair_gaps.vrf, v_gap.range_id, v_gap.first, v_gap.last, v_generation,
      ceil(64 * ipam.unit_count(v_gap.first, v_gap.last) / v_gap.of_range)::int, v_gap.available_at
    );
  end loop;

  select sum(ipam.unit_count(lower(g.span), coalesce(ipam.unit_prev(upper(g.span)), r.last))) into v_units
  from unnest(v_gaps) g (span)
    left join lateral (
      select max(n.last) as last from ipam.range n where n.vrf = repair_gaps.vrf and n.pool_id = repair_gaps.pool_id
    ) r on true;
  return v_units;
end
$function$;
