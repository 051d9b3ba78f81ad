-- Takes up to so many units off the free extents of a pool, in the order of ipam.allocate: first of those whose last
-- unit is `start` or lies above it, then the rest from the lowest on. For ipam.allocate_batch and ipam.take_slots.
--
-- at: the clock reading. Returns the extents as they were taken from, with next..last the units that were taken; fewer
-- units than asked for if others hold the rest, or there is none.
-- Safe: it waits for nobody. As many extents are locked as it takes and no more, since a cursor locks what it fetches.
-- Cost: a statement or two for each extent.
create or replace function ipam.take_units(
  vrf text, pool_id bigint, count int, start inet, at timestamptz
) returns ipam.free_extent[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_start inet := take_units.start;
  v_free cursor for
    select e.*
    from ipam.free_extent e
    where e.vrf = take_units.vrf and e.pool_id = take_units.pool_id and not e.draining
      and e.available_at <= take_units.at and (e.available_at, e.last) >= ('-infinity', v_start)
    order by e.available_at, e.last
    for update skip locked;
  v_extent ipam.free_extent;
  v_left int := take_units.count;
  v_units int;
  v_last inet;
  v_spent bigint[];
  v_taken ipam.free_extent[] := '{}';
begin
  loop
    v_spent := '{}';
    open v_free;
    while v_left > 0 loop
      fetch v_free into v_extent;
      exit when not found;
      v_units := least(ipam.unit_count(v_extent.next, v_extent.last), v_left);
      v_last := ipam.unit_after(v_extent.next, v_units - 1);
      -- The remaining row keeps its last unit, and only its next one moves.
      if v_last < v_extent.last then
        update ipam.free_extent e set next = ipam.unit_next(v_last) where e.extent_id = v_extent.extent_id;
      else
        v_spent := array_append(v_spent, v_extent.extent_id);
      end if;
      v_extent.last := v_last;
      v_taken := array_append(v_taken, v_extent);
      v_left := v_left - v_units;
    end loop;
    close v_free;
    if v_spent <> '{}' then
      delete from ipam.free_extent e where e.extent_id = any (v_spent);
    end if;
    exit when v_left = 0 or v_start = '0.0.0.0';
    v_start := '0.0.0.0';
  end loop;
  return v_taken;
end
$function$;
