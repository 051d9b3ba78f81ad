-- One pool with its counts and ranges: `found`, or `unknown_pool` with the VRFs that have a pool of that name.
create or replace function ipam.get_pool(vrf text, pool text) returns ipam.pool_answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool record;
begin
  select * into v_pool from ipam.find_pool(get_pool.vrf, get_pool.pool);
  if not found then
    return ipam.unknown_pool(get_pool.vrf, get_pool.pool);
  end if;
  return ipam.pool_answer_for('found', get_pool.vrf, v_pool.pool_id, v_pool.name);
end
$function$;
