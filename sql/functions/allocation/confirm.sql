-- Confirms a provisional allocation, so that its ttl no longer ends it. This is the last step of a caller without an
-- operation; an operation confirms when it succeeds.
--
-- Returns `confirmed`; `not_found` for a key never seen; `expired` or `key_released` for a tombstone.
-- Repeatable: a confirmed allocation is confirmed again, and nothing is written.
-- Safe: one row lock decides between this and ipam.reclaim_expired; past its ttl it still wins until the key is
-- reclaimed.
create or replace function ipam.confirm(vrf text, request_id uuid, slot text default 'default') returns ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_answer ipam.answer;
begin
  select * into strict v_answer from ipam.confirm_many(confirm.vrf, confirm.request_id, array[confirm.slot]);
  return v_answer;
end
$function$;
