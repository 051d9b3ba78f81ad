-- Adds a range to a pool.
--
-- range: as ipam.parse_range reads it. gateway, include_network_addresses: as in ipam.create_pool; null for those of
-- the pool.
-- Returns `added`; `exists` if the pool has that range already; `range_overlaps` with the other range; `unknown_pool`.
-- Repeatable. Safe: see ipam.insert_ranges. In a draining pool the range drains from the start.
create or replace function ipam.add_range(
  vrf text, pool text, range text, include_network_addresses boolean default null, gateway text default null
) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(add_range.vrf, add_range.pool);
  v_pool ipam.pool;
  v_span record;
  v_in_way jsonb;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(add_range.vrf, add_range.pool);
  end if;
  select * into v_span from ipam.parse_range(add_range.range);
  select p.* into v_pool from ipam.pool p where p.vrf = add_range.vrf and p.pool_id = v_pool_id;
  if family(v_span.first) <> v_pool.family then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('range: the pool is of IPv%s', v_pool.family);
  end if;
  if exists (
    select from ipam.range r
    where r.vrf = add_range.vrf and r.pool_id = v_pool_id and r.first = v_span.first and r.last = v_span.last
  ) then
    return ipam.pool_answer_for('exists', add_range.vrf, v_pool_id, v_pool.name);
  end if;
  v_in_way := ipam.insert_ranges(
    add_range.vrf, v_pool_id, array[add_range.range],
    coalesce(
      add_range.gateway,
      case
        when v_pool.gateway in ('first', 'last', 'none') then v_pool.gateway
        -- An address is the gateway of the range that contains it.
        else case when v_pool.gateway::inet between v_span.first and v_span.last then v_pool.gateway else 'none' end
      end
    ),
    coalesce(add_range.include_network_addresses, v_pool.include_network_addresses)
  );
  if v_in_way is not null then
    return ipam.pool_answer_for('range_overlaps', add_range.vrf, v_pool_id, v_pool.name, v_in_way);
  end if;
  perform ipam.pool_changed(add_range.vrf, v_pool_id);
  return ipam.pool_answer_for('added', add_range.vrf, v_pool_id, v_pool.name);
end
$function$;
