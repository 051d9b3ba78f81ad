-- Who holds an address, in one VRF, or (vrf null) in every VRF that has it, in the order of VRFs, after `after_vrf`.
create or replace function ipam.list_by_address(
  vrf text, address inet, after_vrf text default null, page_size int default 100
) returns setof ipam.answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from (
    select holder.a
    from ipam.vrf v
      cross join lateral (
        select a
        from ipam.allocation a
        where a.vrf = v.vrf and a.unit = list_by_address.address and a.released_at is null
        limit 1
      ) holder
    where (list_by_address.vrf is null or v.vrf = list_by_address.vrf)
      and v.vrf > coalesce(list_by_address.after_vrf, '') collate "C"
    order by v.vrf
    limit list_by_address.page_size
  ) page cross join lateral ipam.listed(page.a) x;
$function$;
