-- Releases what nobody else will: everything held by operations that have expired, which unwinds them, and provisional
-- allocations past their ttl, VRF by VRF, the longest expired first, at most max_rows of them.
--
-- vrf: only what is in it, or what an operation holds whose home it is; null for all. A VRF that does not exist has
-- nothing.
-- Returns one row for each key that was released, with reason expired. An operation is reclaimed whole, at most
-- max_rows operations a call; fewer rows than max_rows: nothing past its ttl is left.
-- Keys of an operation that has not ended are skipped, however long past their ttl they are: they end with it
-- (ipam.finish_operation).
-- Repeatable, and safe beside itself: rows that another transaction holds are skipped. A key is younger than its
-- operation, and an operation confirms or releases its keys when it ends, so whoever sees a provisional key sees
-- whether it belongs to one.
-- Cost: an index probe for each VRF, the rows released, and those skipped. The index on expiry begins with the VRF, so
-- one VRF costs nothing of the others.
create or replace function ipam.reclaim_expired(
  max_rows int default 100, vrf text default null
) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_vrf text;
  v_released ipam.allocation[];
  v_more ipam.allocation[];
begin
  perform ipam.check_isolation();
  if (max_rows between 1 and 10000) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'max_rows: must be 1 to 10000';
  end if;
  v_released := coalesce(ipam.reclaim_operations(max_rows, reclaim_expired.vrf, v_now), '{}');
  for v_vrf in
    select v.vrf from ipam.vrf v where reclaim_expired.vrf is null or v.vrf = reclaim_expired.vrf order by v.vrf
  loop
    exit when cardinality(v_released) >= max_rows;
    with expired as materialized (
      select a.request_id, a.slot
      from ipam.allocation a
      where a.vrf = v_vrf and a.expires_at <= v_now and a.released_at is null and a.confirmed_at is null
        and not exists (select from ipam.operation o where o.operation_id = a.request_id and o.pending)
      order by a.expires_at
      limit max_rows - cardinality(v_released)
      for update skip locked
    ),

    released as (
      update ipam.allocation a
      set released_at = v_now, release_reason = 'expired'
      from expired
      where a.vrf = v_vrf and a.request_id = expired.request_id and a.slot = expired.slot
      returning a
    )
    select array_agg(released.a) into v_more from released;
    v_released := v_released || v_more;
  end loop;

  perform ipam.free_everywhere(v_released, v_now);
  return query
  select x.*
  from unnest(v_released) r
    cross join lateral (
      select * from ipam.answer_for('released', r.vrf, null, r.request_id, r.slot, r, ipam.tombstone(r), true)
    ) x;
end
$function$;
