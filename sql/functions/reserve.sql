-- Reserves a range of a pool: never handed out automatically. What is held of it stays held, and goes to reserved when released.
--
-- Comes back: `reserved` (again and again), `address_outside` when no range of the pool holds it whole, `unknown_pool`.
create or replace function ipam.reserve(vrf text, pool text, range text) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(reserve.vrf, reserve.pool);
  v_reserved boolean;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(reserve.vrf, reserve.pool);
  end if;
  v_reserved := ipam.reserve_in_pool(reserve.vrf, v_pool_id, reserve.range);
  return ipam.pool_answer_for(
    case when v_reserved then 'reserved' else 'address_outside' end, reserve.vrf, v_pool_id, reserve.pool
  );
end
$function$;
