-- The reservations of a pool in the order of addresses, after that of `after_first`, `after_last` and `after_kind`.
--
-- Returns rows `found` with first, last, kind (`network`, `gateway` or `requested`) and reason; for an unknown pool one
-- row, `unknown_pool`.
create or replace function ipam.list_reservations(
  vrf text, pool text, after_first inet default null, after_last inet default null, after_kind text default null,
  page_size int default 100
) returns table (outcome text, first inet, last inet, kind text, reason text, detail jsonb)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := (select f.pool_id from ipam.find_pool(list_reservations.vrf, list_reservations.pool) f);
begin
  if v_pool_id is null then
    return query
    select
      'unknown_pool', null::inet, null::inet, null, null,
      jsonb_build_object('vrfs', ipam.vrfs_with_pool(list_reservations.pool));
    return;
  end if;
  return query
  select 'found', s.first::inet, s.last::inet, s.kind, s.reason, null::jsonb
  from ipam.reservation s
  where s.vrf = list_reservations.vrf and s.pool_id = v_pool_id
    and (after_first is null or (s.first::inet, s.last::inet, s.kind) > (after_first, after_last, after_kind))
  order by s.first, s.last, s.kind
  limit page_size;
end
$function$;
