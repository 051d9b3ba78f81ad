-- Deletes a pool and frees its name; its row stays, since tombstones refer to it. Refused while anything of it is held.
--
-- Comes back: `deleted`, `pool_in_use` (how many are held), `unknown_pool`.
create or replace function ipam.delete_pool(vrf text, pool text) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(delete_pool.vrf, delete_pool.pool);
  v_range ipam.range;
  v_held bigint;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(delete_pool.vrf, delete_pool.pool);
  end if;
  begin
    for v_range in select r.* from ipam.range r where r.vrf = delete_pool.vrf and r.pool_id = v_pool_id order by r.first loop
      v_held := ipam.drop_range(delete_pool.vrf, v_pool_id, v_range.range_id, v_range.first, v_range.last);
      if v_held is not null then
        raise sqlstate 'IP004';
      end if;
    end loop;
  exception
    when sqlstate 'IP004' then
      return ipam.pool_answer_for('pool_in_use', delete_pool.vrf, v_pool_id, delete_pool.pool, jsonb_build_object('held', v_held::text));
  end;
  update ipam.pool p set deleted_at = clock_timestamp() where p.vrf = delete_pool.vrf and p.pool_id = v_pool_id;
  delete from ipam.pool_counter c where c.vrf = delete_pool.vrf and c.pool_id = v_pool_id;
  return ipam.pool_answer_for('deleted', delete_pool.vrf, v_pool_id, delete_pool.pool);
end
$function$;
