-- Locks those of several keys of a VRF that are held, until the end of the transaction. For ipam.release_batch and
-- ipam.confirm_batch.
--
-- request_ids, slots: of equal length, one of each a key; one that is named twice is not locked.
-- Returns the allocations. A key that is missing in them is not held, has not been committed yet, or is locked by
-- another transaction.
-- Safe: it waits for nobody. Raises as ipam.check_isolation.
create or replace function ipam.lock_keys(vrf text, request_ids uuid[], slots text[]) returns ipam.allocation[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_isolation();
  -- By the key alone: with `released_at is null` beside it, the planner could choose an index on units that is empty
  -- when it plans. LIMIT 1 keeps that condition out of the lookup.
  return array(
    select known.a
    from (
      select u.request_id, u.slot
      from unnest(lock_keys.request_ids, lock_keys.slots) u (request_id, slot)
      group by u.request_id, u.slot
      having count(*) = 1
    ) asked
      cross join lateral (
        select a
        from ipam.allocation a
        where a.vrf = lock_keys.vrf and a.request_id = asked.request_id and a.slot = asked.slot
        limit 1
        for no key update skip locked
      ) known
    where (known.a).released_at is null
  );
end
$function$;
