-- Takes back a reservation, named as it was made. Addresses that another reservation covers stay reserved.
--
-- Comes back: `unreserved`, also when there was none; `unknown_pool`.
create or replace function ipam.unreserve(vrf text, pool text, range text) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(unreserve.vrf, unreserve.pool);
  v_span record;
  v_extent ipam.free_extent;
  v_freed numeric := 0;
  v_other record;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(unreserve.vrf, unreserve.pool);
  end if;
  select * into v_span from ipam.parse_range(unreserve.range);
  delete from ipam.reservation s
  where s.vrf = unreserve.vrf and s.pool_id = v_pool_id and s.first = v_span.first and s.last = v_span.last and s.kind = 'requested';
  if found then
    for v_extent in
      select e.*
      from ipam.free_extent e
      where e.vrf = unreserve.vrf and e.pool_id = v_pool_id and e.next >= v_span.first and e.last <= v_span.last and e.available_at = 'infinity'
      order by e.last
      for update
    loop
      update ipam.free_extent e set available_at = '-infinity' where e.extent_id = v_extent.extent_id;
      v_freed := v_freed + ipam.unit_count(v_extent.next, v_extent.last);
    end loop;
    update ipam.allocation a
    set reserved = false
    where a.vrf = unreserve.vrf and a.released_at is null and a.reserved and a.unit >= v_span.first and a.unit <= v_span.last;
    perform ipam.count_units(unreserve.vrf, v_pool_id, 0, -v_freed);
    for v_other in
      select s.first, s.last, s.kind
      from ipam.reservation s
      where s.vrf = unreserve.vrf and s.pool_id = v_pool_id and s.first <= v_span.last and s.last >= v_span.first
    loop
      perform ipam.reserve_span(unreserve.vrf, v_pool_id, v_other.first, v_other.last, v_other.kind);
    end loop;
  end if;
  return ipam.pool_answer_for('unreserved', unreserve.vrf, v_pool_id, unreserve.pool);
end
$function$;
