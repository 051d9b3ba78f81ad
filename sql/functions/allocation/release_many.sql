-- Releases several slots of a request in one call, each as ipam.release does: every slot named gets a tombstone, seen
-- or not.
--
-- slots: 1 to 65,536. Returns one row a slot, in the order asked.
-- Repeatable and safe: as ipam.release. Keys are released in the order of slots, and counters updated in the order of
-- pools, as in every function.
create or replace function ipam.release_many(vrf text, request_id uuid, slots text[]) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_released ipam.allocation[];
  v_outcomes text[];
  v_known ipam.allocation[];
  v_details jsonb[];
  v_freed boolean[];
begin
  perform ipam.check_request(release_many.vrf, release_many.request_id, slots);

  with released as (
    insert into ipam.allocation as a (vrf, request_id, slot, released_at, release_reason)
    select release_many.vrf, release_many.request_id, s.slot, v_now, 'released'
    from unnest(slots) s (slot)
    order by s.slot collate "C"
    on conflict (vrf, request_id, slot) do update
      set released_at = v_now, release_reason = 'released'
      where a.released_at is null
    returning a
  )
  select array_agg(released.a) into v_released from released;
  perform ipam.free_units(release_many.vrf, v_released, v_now);

  -- Which slots this call released: by grouping, since a join of two lists is planned without knowing their lengths.
  with asked as (
    select u.slot, max(u.ordinal) as ordinal, bool_or(u.freed) as freed
    from (
      select s.slot, s.ordinal, null::boolean as freed from unnest(slots) with ordinality s (slot, ordinal)
      union all
      select r.slot, null, r.unit is not null from unnest(v_released) r
    ) u
    group by u.slot
  )
  select
    array_agg(case when s.freed is null then 'already_released' else 'released' end order by s.ordinal),
    array_agg(known.a order by s.ordinal), array_agg(ipam.tombstone(known.a) order by s.ordinal),
    array_agg(coalesce(s.freed, false) order by s.ordinal)
  into v_outcomes, v_known, v_details, v_freed
  from asked s
    cross join lateral (
      select a from ipam.allocation a
      where a.vrf = release_many.vrf and a.request_id = release_many.request_id and a.slot = s.slot
      limit 1
    ) known;

  return query
  select x.*
  from ipam.answers_for(
    v_outcomes, release_many.vrf, null, array_fill(release_many.request_id, array[cardinality(slots)]), slots, v_known,
    v_details, v_freed
  ) x;
end
$function$;
