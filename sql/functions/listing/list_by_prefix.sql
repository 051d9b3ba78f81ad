-- What is held of a prefix in a VRF, in the order of addresses, after `after_address`.
create or replace function ipam.list_by_prefix(
  vrf text, prefix inet, after_address inet default null, page_size int default 100
) returns setof ipam.answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from (
    select a
    from ipam.allocation a
    where a.vrf = list_by_prefix.vrf and a.released_at is null
      and a.unit >= set_masklen(
        network(list_by_prefix.prefix)::inet, case family(list_by_prefix.prefix) when 4 then 32 else 128 end
      )
      and a.unit <= set_masklen(
        broadcast(list_by_prefix.prefix), case family(list_by_prefix.prefix) when 4 then 32 else 128 end
      )
      and a.unit > coalesce(list_by_prefix.after_address, '0.0.0.0/0'::inet)
    order by a.unit
    limit list_by_prefix.page_size
  ) page cross join lateral ipam.listed(page.a) x;
$function$;
