-- Releases provisional allocations whose ttl has passed, VRF by VRF, the longest past first, at most max_rows of them.
--
-- vrf: only what is in it; null: all. One that is not there has none.
-- Comes back: one row for each that was released, with reason expired.
-- Repeatable, and safe beside itself: rows that another caller has under way are passed over.
-- Cost: an index probe a VRF, and the rows released. The index on expiry begins with the vrf, so one VRF costs nothing of the others.
create or replace function ipam.reclaim_expired(max_rows int default 100, vrf text default null) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set lock_timeout = '2s'
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_vrf text;
  v_left int := max_rows;
  v_released ipam.allocation[];
begin
  if (max_rows between 1 and 10000) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'max_rows: must be 1 to 10000';
  end if;
  perform ipam.check_request(coalesce(reclaim_expired.vrf, 'default'), 'ffffffff-ffff-ffff-ffff-ffffffffffff', array['default']);
  for v_vrf in
    select v.vrf from ipam.vrf v where reclaim_expired.vrf is null or v.vrf = reclaim_expired.vrf order by v.vrf
  loop
    exit when v_left <= 0;
    with expired as materialized (
      select a.request_id, a.slot
      from ipam.allocation a
      where a.vrf = v_vrf and a.expires_at <= v_now and a.released_at is null and a.confirmed_at is null
      order by a.expires_at
      limit v_left
      for update skip locked
    ),

    released as (
      update ipam.allocation a
      set released_at = v_now, release_reason = 'expired'
      from expired
      where a.vrf = v_vrf and a.request_id = expired.request_id and a.slot = expired.slot
      returning a
    )
    select array_agg(released.a) into v_released from released;
    continue when v_released is null;

    perform ipam.free_units(v_vrf, v_released, v_now);
    v_left := v_left - cardinality(v_released);
    return query
    select x.*
    from unnest(v_released) r
      cross join lateral (
        select * from ipam.answer_for('released', v_vrf, null, r.request_id, r.slot, r, ipam.tombstone(r), true)
      ) x;
  end loop;
end
$function$;
