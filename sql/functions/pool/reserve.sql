-- Reserves a span of a pool, so that it is never allocated automatically. What is held of it stays held, and returns to
-- the reservation when it is released.
--
-- reason: in the caller's words, up to 1000 characters; null for none. A repetition with a reason replaces the reason.
-- Returns `reserved`; `address_outside` if the ranges of the pool do not contain the whole span; `unknown_pool`.
-- Repeatable. Safe: see ipam.settle_covers. A cooldown continues under the reservation.
create or replace function ipam.reserve(
  vrf text, pool text, range text, reason text default null
) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(reserve.vrf, reserve.pool);
  v_changed bigint;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(reserve.vrf, reserve.pool);
  end if;
  v_changed := ipam.insert_reservations(reserve.vrf, v_pool_id, array[reserve.range], reserve.reason);
  if v_changed is null then
    return ipam.pool_answer_for('address_outside', reserve.vrf, v_pool_id, reserve.pool);
  end if;
  update ipam.pool p
  set revision = p.revision + 1
  where p.vrf = reserve.vrf and p.pool_id = v_pool_id and v_changed > 0;
  return ipam.pool_answer_for('reserved', reserve.vrf, v_pool_id, reserve.pool);
end
$function$;
