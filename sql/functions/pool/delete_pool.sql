-- Deletes a pool and frees its name. Its row stays, since tombstones refer to it. Refused while anything of it is held.
--
-- Returns `deleted`; `pool_in_use` with how many units are held, and the first ten holders; `unknown_pool`.
-- Safe: as ipam.remove_range, for all of its ranges at once.
create or replace function ipam.delete_pool(vrf text, pool text) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(delete_pool.vrf, delete_pool.pool);
  v_firsts inet[];
  v_lasts inet[];
  v_in_way jsonb;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(delete_pool.vrf, delete_pool.pool);
  end if;
  select array_agg(r.first::inet order by r.first), array_agg(r.last::inet order by r.first) into v_firsts, v_lasts
  from ipam.range r
  where r.vrf = delete_pool.vrf and r.pool_id = v_pool_id;
  begin
    delete from ipam.reservation s where s.vrf = delete_pool.vrf and s.pool_id = v_pool_id;
    delete from ipam.range r where r.vrf = delete_pool.vrf and r.pool_id = v_pool_id;
    v_in_way := ipam.settle_covers(delete_pool.vrf, v_pool_id, v_firsts, v_lasts);
    if v_in_way is not null then
      raise sqlstate 'IP004';
    end if;
  exception
    when sqlstate 'IP004' then
      return ipam.pool_answer_for('pool_in_use', delete_pool.vrf, v_pool_id, delete_pool.pool, v_in_way);
  end;
  update ipam.pool p
  set deleted_at = clock_timestamp(), size = 0, spread = '{}', revision = p.revision + 1
  where p.vrf = delete_pool.vrf and p.pool_id = v_pool_id;
  delete from ipam.pool_counter c where c.vrf = delete_pool.vrf and c.pool_id = v_pool_id;
  return ipam.pool_answer_for('deleted', delete_pool.vrf, v_pool_id, delete_pool.pool);
end
$function$;
