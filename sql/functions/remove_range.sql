-- Removes a range of a pool, named by the same ends as it was added. Refused while anything of it is held.
--
-- Comes back: `removed`, `range_in_use` (how many are held), `not_found`, `unknown_pool`.
create or replace function ipam.remove_range(vrf text, pool text, range text) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(remove_range.vrf, remove_range.pool);
  v_span record;
  v_range ipam.range;
  v_held bigint;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(remove_range.vrf, remove_range.pool);
  end if;
  select * into v_span from ipam.parse_range(remove_range.range);
  select r.* into v_range
  from ipam.range r
  where r.vrf = remove_range.vrf and r.pool_id = v_pool_id and r.first = v_span.first and r.last = v_span.last;
  if not found then
    return ipam.pool_answer_for('not_found', remove_range.vrf, v_pool_id, remove_range.pool);
  end if;
  begin
    v_held := ipam.drop_range(remove_range.vrf, v_pool_id, v_range.range_id, v_range.first, v_range.last);
    if v_held is not null then
      raise sqlstate 'IP004';
    end if;
    perform ipam.set_spread(remove_range.vrf, v_pool_id);
  exception
    when sqlstate 'IP004' then
      return ipam.pool_answer_for('range_in_use', remove_range.vrf, v_pool_id, remove_range.pool, jsonb_build_object('held', v_held::text));
  end;
  return ipam.pool_answer_for('removed', remove_range.vrf, v_pool_id, remove_range.pool);
end
$function$;
