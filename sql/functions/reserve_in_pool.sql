-- Reserves a range as asked, if one range of the pool holds it whole; false if none does.
create or replace function ipam.reserve_in_pool(vrf text, pool_id bigint, range text) returns boolean
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_span record;
  v_range_id bigint;
begin
  select * into v_span from ipam.parse_range(reserve_in_pool.range);
  select r.range_id into v_range_id
  from ipam.range r
  where r.vrf = reserve_in_pool.vrf and r.pool_id = reserve_in_pool.pool_id and r.first <= v_span.first and r.last >= v_span.last;
  if found then
    perform ipam.reserve_span(reserve_in_pool.vrf, reserve_in_pool.pool_id, v_span.first, v_span.last, 'requested');
  end if;
  return v_range_id is not null;
end
$function$;
