-- Locks a pool of a VRF against other changes of it, its ranges and its reservations. No allocation or release takes
-- this lock.
--
-- Returns its id; null if the VRF has no such pool.
create or replace function ipam.lock_pool(vrf text, pool text) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint;
begin
  perform ipam.check_isolation();
  select f.pool_id into v_pool_id from ipam.find_pool(lock_pool.vrf, lock_pool.pool) f;
  -- The pool may have been deleted, or renamed, while this waited for its lock.
  select p.pool_id into v_pool_id
  from ipam.pool p
  where p.vrf = lock_pool.vrf and p.pool_id = v_pool_id and p.deleted_at is null
    and (p.name = lock_pool.pool or lock_pool.pool ~ '^[0-9]+$')
  for no key update;
  return v_pool_id;
end
$function$;
