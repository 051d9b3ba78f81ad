-- Releases several keys of a VRF that have nothing to do with each other: what ipam.release does for each of them, in
-- one statement for all.
--
-- request_ids, slots: of equal length, one of each a request.
-- Returns a row for each request whose key it has released: its position in the lists, from 1 on, and the answer. For a
-- request without a row nothing has changed, and ipam.release is to be called: if its key is not held, or is in flight.
-- Repeatable: as ipam.release, key by key. A key that was released gets no row the second time.
-- Safe: it waits for nobody. A key that another transaction has locked, or has not committed yet, is left to
-- ipam.release, which waits for it.
-- Cost: independent of the size of the pools; less than as many single calls (bench/batches.ts).
create or replace function ipam.release_batch(
  vrf text, request_ids uuid[], slots text[]
) returns table (n int, answer ipam.answer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_held ipam.allocation[] := ipam.lock_keys(release_batch.vrf, release_batch.request_ids, release_batch.slots);
  v_released ipam.allocation[];
begin
  with released as (
    update ipam.allocation a
    set released_at = v_now, release_reason = 'released'
    from unnest(v_held) h
    where a.request_id = h.request_id and a.vrf = h.vrf and a.slot = h.slot
    returning a
  )
  select array_agg(released.a) into v_released from released;
  perform ipam.free_units(release_batch.vrf, v_released, v_now);

  return query
  select
    u.n::int,
    ipam.answer_for('released', release_batch.vrf, null, r.request_id, r.slot, r, ipam.tombstone(r), true)
  from unnest(v_released) r
    join unnest(release_batch.request_ids, release_batch.slots) with ordinality u (request_id, slot, n)
      on u.request_id = r.request_id and u.slot = r.slot::text;
end
$function$;
