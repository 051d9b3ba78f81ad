-- Releases several slots of a request in one call, each as ipam.release does: every slot named gets a tombstone, seen
-- or not.
--
-- slots: 1 to 256. Returns one row a slot, in the order asked.
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

  return query
  select x.*
  from unnest(slots) with ordinality s (slot, ordinal)
    left join lateral (
      select a from ipam.allocation a
      where a.vrf = release_many.vrf and a.request_id = release_many.request_id and a.slot = s.slot
      limit 1
    ) known on true
    left join lateral (select r.unit is not null as freed from unnest(v_released) r where r.slot = s.slot) fresh on true
    cross join lateral ipam.answer_for(
      case when fresh.freed is null then 'already_released' else 'released' end, release_many.vrf, null,
      release_many.request_id, s.slot, known.a, ipam.tombstone(known.a), coalesce(fresh.freed, false)
    ) x
  order by s.ordinal;
end
$function$;
