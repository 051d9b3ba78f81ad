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
  v_held ipam.allocation[];
  v_numbers int[];
begin
  if not ipam.may_decide() then
    perform ipam.check_isolation();
  end if;

  -- As in ipam.release_batch. Of an operation with an expiry, a call under it has to extend that expiry as well.
  with asked as materialized (
    select u.request_id, u.slot, min(u.n)::int as n
    from unnest(confirm_batch.request_ids, confirm_batch.slots) with ordinality u (request_id, slot, n)
    group by u.request_id, u.slot
    having count(*) = 1
  ),

  locked as materialized (
    select asked.*, known.a as held
    from asked
      left join lateral (
        select o.expires_in from ipam.operation o where o.operation_id = asked.request_id limit 1
      ) operation on true
      cross join lateral (
        select a
        from ipam.allocation a
        where a.vrf = confirm_batch.vrf and a.request_id = asked.request_id and a.slot = asked.slot
        limit 1
        for no key update skip locked
      ) known
    where (known.a).released_at is null and operation.expires_in is null
  ),

  confirmed as (
    update ipam.allocation a
    set expires_at = null, confirmed_at = v_now
    from locked l
    where a.vrf = (l.held).vrf and a.request_id = l.request_id and a.slot = l.slot and (l.held).confirmed_at is null
    returning a, l.n
  )

  select array_agg(c.a), array_agg(c.n) into v_held, v_numbers
  from (
    select confirmed.* from confirmed
    union all
    select l.held, l.n from locked l where (l.held).confirmed_at is not null
  ) c;
  if v_numbers is null then
    return;
  end if;

  return query
  select v_numbers[row_number() over ()], x
  from ipam.answers_for(
    array_fill('confirmed'::text, array[cardinality(v_held)]), confirm_batch.vrf, null, null, null, v_held
  ) x;
end
$function$;
