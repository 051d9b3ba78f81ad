-- Locks a VRF and one of its pools against other changes of pools and ranges, and gives the pool's id; null when there is none.
create or replace function ipam.lock_pool(vrf text, pool text) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint;
begin
  perform ipam.check_request(lock_pool.vrf, 'ffffffff-ffff-ffff-ffff-ffffffffffff', array['default']);
  perform from ipam.vrf v where v.vrf = lock_pool.vrf for update;
  select f.pool_id into v_pool_id from ipam.find_pool(lock_pool.vrf, lock_pool.pool) f;
  perform from ipam.pool p where p.vrf = lock_pool.vrf and p.pool_id = v_pool_id for update;
  return v_pool_id;
end
$function$;
