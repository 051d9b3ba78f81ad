-- Removes a range of a pool, or any part of one. Refused while anything in it is held.
--
-- range: within one range of the pool. What remains of that range on either side keeps the prefix length of the
-- network, the gateway, the reservations and the draining.
-- Returns `removed`; `range_in_use` with how many units are held, and the first ten holders; `not_found`;
-- `unknown_pool`.
-- Safe: ipam.settle_covers proves that nothing in it is free or held at the commit. Cooldowns and generations outlive
-- the range.
-- Cost: linear in the extents of the range and, if its middle is removed, in what is held above.
create or replace function ipam.remove_range(vrf text, pool text, range text) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(remove_range.vrf, remove_range.pool);
  v_span record;
  v_range ipam.range;
  v_in_way jsonb;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(remove_range.vrf, remove_range.pool);
  end if;
  select * into v_span from ipam.parse_range(remove_range.range);
  select r.* into v_range
  from ipam.range r
  where r.vrf = remove_range.vrf and r.pool_id = v_pool_id and r.first <= v_span.first and r.last >= v_span.last;
  if not found then
    return ipam.pool_answer_for('not_found', remove_range.vrf, v_pool_id, remove_range.pool);
  end if;
  begin
    perform ipam.cut_reservations(
      remove_range.vrf, v_pool_id, v_span.first, v_span.last, array['network', 'gateway', 'requested']
    );
    if v_range.first < v_span.first then
      update ipam.range r
      set last = ipam.unit_prev(v_span.first), revision = r.revision + 1
      where r.vrf = v_range.vrf and r.range_id = v_range.range_id;
    elsif v_span.last < v_range.last then
      update ipam.range r
      set first = ipam.unit_next(v_span.last), revision = r.revision + 1
      where r.vrf = v_range.vrf and r.range_id = v_range.range_id;
    else
      delete from ipam.range r where r.vrf = v_range.vrf and r.range_id = v_range.range_id;
    end if;
    if v_range.first < v_span.first and v_span.last < v_range.last then
      insert into ipam.range (vrf, pool_id, first, last, prefix_length, gateway, draining)
      values (
        v_range.vrf, v_pool_id, ipam.unit_next(v_span.last), v_range.last, v_range.prefix_length, v_range.gateway,
        v_range.draining
      );
    end if;
    v_in_way := ipam.settle_covers(remove_range.vrf, v_pool_id, array[v_span.first], array[v_range.last]);
    if v_in_way is not null then
      raise sqlstate 'IP004';
    end if;
    perform ipam.pool_changed(remove_range.vrf, v_pool_id);
  exception
    when sqlstate 'IP004' then
      return ipam.pool_answer_for('range_in_use', remove_range.vrf, v_pool_id, remove_range.pool, v_in_way);
  end;
  return ipam.pool_answer_for('removed', remove_range.vrf, v_pool_id, remove_range.pool);
end
$function$;
