-- Lifts the reservations that were requested (ipam.reserve) within a span; a part that lies outside of it stays
-- reserved. Network addresses and gateways stay reserved as long as their range exists.
--
-- Returns `unreserved`; `not_found` if no requested reservation overlaps the span; `unknown_pool`.
-- Safe: see ipam.settle_covers. A cooldown that began before or under the reservation continues.
create or replace function ipam.unreserve(vrf text, pool text, range text) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(unreserve.vrf, unreserve.pool);
  v_span record;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(unreserve.vrf, unreserve.pool);
  end if;
  select * into v_span from ipam.parse_range(unreserve.range);
  if ipam.cut_reservations(unreserve.vrf, v_pool_id, v_span.first, v_span.last, array['requested']) = 0 then
    return ipam.pool_answer_for('not_found', unreserve.vrf, v_pool_id, unreserve.pool);
  end if;
  perform ipam.settle_covers(unreserve.vrf, v_pool_id, array[v_span.first], array[v_span.last]);
  update ipam.pool p set revision = p.revision + 1 where p.vrf = unreserve.vrf and p.pool_id = v_pool_id;
  return ipam.pool_answer_for('unreserved', unreserve.vrf, v_pool_id, unreserve.pool);
end
$function$;
