-- Confirms several keys of a VRF that have nothing to do with each other: what ipam.confirm does for each of them, in
-- one statement for all.
--
-- request_ids, slots: of equal length, one of each a request.
-- Returns a row for each request whose key is confirmed: its position in the lists, from 1 on, and the answer. For a
-- request without a row nothing has changed, and ipam.confirm is to be called: if its key is not held, is in flight, or
-- belongs to an operation with an expiry.
-- Repeatable: as ipam.confirm, key by key; a key that is confirmed already is not written.
-- Safe: as ipam.release_batch.
-- Cost: independent of the size of the pools; less than as many single calls (bench/batches.ts).
create or replace function ipam.confirm_batch(
  vrf text, request_ids uuid[], slots text[]
) returns table (n int, answer ipam.answer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_held ipam.allocation[] := ipam.lock_keys(confirm_batch.vrf, confirm_batch.request_ids, confirm_batch.slots);
  v_confirmed ipam.allocation[];
begin
  -- Of an operation with an expiry, a call under it has to extend that expiry as well.
  v_held := array(
    select h
    from unnest(v_held) h
    where not exists (
      select from ipam.operation o where o.operation_id = h.request_id and o.expires_in is not null
    )
  );
  with confirmed as (
    update ipam.allocation a
    set expires_at = null, confirmed_at = v_now
    from unnest(v_held) h
    where a.request_id = h.request_id and a.vrf = h.vrf and a.slot = h.slot and h.confirmed_at is null
    returning a
  )
  select array_agg(confirmed.a) into v_confirmed from confirmed;

  return query
  select u.n::int, ipam.answer_for('confirmed', confirm_batch.vrf, null, c.request_id, c.slot, c)
  from (
    select x.* from unnest(v_confirmed) x
    union all
    select h.* from unnest(v_held) h where h.confirmed_at is not null
  ) c
    join unnest(confirm_batch.request_ids, confirm_batch.slots) with ordinality u (request_id, slot, n)
      on u.request_id = c.request_id and u.slot = c.slot::text;
end
$function$;
