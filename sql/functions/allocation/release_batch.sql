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
  v_released ipam.allocation[];
  v_numbers int[];
begin
  if not ipam.may_decide() then
    perform ipam.check_isolation();
  end if;

  -- One that is named twice is left out.
  with asked as materialized (
    select u.request_id, u.slot, min(u.n)::int as n
    from unnest(release_batch.request_ids, release_batch.slots) with ordinality u (request_id, slot, n)
    group by u.request_id, u.slot
    having count(*) = 1
  ),

  -- By the key alone: with `released_at is null` beside it, the planner could choose an index on units that is empty
  -- when it plans. LIMIT 1 keeps that condition out of the lookup. The update below takes the VRF from here, too: with
  -- the parameter, a plan made on an empty table read all keys of the VRF.
  locked as materialized (
    select asked.*, known.vrf
    from asked
      cross join lateral (
        select a.vrf, a.released_at
        from ipam.allocation a
        where a.vrf = release_batch.vrf and a.request_id = asked.request_id and a.slot = asked.slot
        limit 1
        for no key update skip locked
      ) known
    where known.released_at is null
  ),

  released as (
    update ipam.allocation a
    set released_at = v_now, release_reason = 'released'
    from locked l
    where a.vrf = l.vrf and a.request_id = l.request_id and a.slot = l.slot
    returning a, l.n
  )

  select array_agg(r.a), array_agg(r.n) into v_released, v_numbers from released r;
  if v_numbers is null then
    return;
  end if;
  perform ipam.free_units(release_batch.vrf, v_released, v_now);

  return query
  select v_numbers[row_number() over ()], x
  from ipam.answers_for(
    array_fill('released'::text, array[cardinality(v_released)]), release_batch.vrf, null, null, null, v_released,
    array(select ipam.tombstone(r) from unnest(v_released) r), array_fill(true, array[cardinality(v_released)])
  ) x;
end
$function$;
