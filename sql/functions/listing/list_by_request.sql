-- The slots of a request, held and released, in the order of slots, after `after_slot`.
create or replace function ipam.list_by_request(
  vrf text, request_id uuid, after_slot text default null, page_size int default 100
) returns setof ipam.answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from (
    select a
    from ipam.allocation a
    where a.vrf = list_by_request.vrf and a.request_id = list_by_request.request_id
      and a.slot > coalesce(list_by_request.after_slot, '') collate "C"
    order by a.slot
    limit list_by_request.page_size
  ) page cross join lateral ipam.listed(page.a) x;
$function$;
