-- Lifts the reservations of a span, whole or in part: what of them lies outside of it stays. Addresses of networks and gateways
-- stay reserved; they go with their range.
--
-- Comes back: `unreserved`; `not_found` when nobody had reserved anything there; `unknown_pool`.
-- Safe: ipam.settle_covers. What was cooling when it was reserved, or released under the reservation, cools on.
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
