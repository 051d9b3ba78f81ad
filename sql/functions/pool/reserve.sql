-- Reserves a span of a pool: never handed out automatically. What is held of it stays held, and goes to reserved when released.
--
-- reason: in the caller's words, up to 1000 characters; null for none. The same span again takes a new reason, if one is given.
-- Comes back: `reserved`; `address_outside` when the ranges of the pool do not hold it whole; `unknown_pool`.
-- Repeatable. Safe: ipam.settle_covers. What is cooling goes on cooling under the reservation.
create or replace function ipam.reserve(vrf text, pool text, range text, reason text default null) returns ipam.pool_answer
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
  update ipam.pool p set revision = p.revision + 1 where p.vrf = reserve.vrf and p.pool_id = v_pool_id and v_changed > 0;
  return ipam.pool_answer_for('reserved', reserve.vrf, v_pool_id, reserve.pool);
end
$function$;
