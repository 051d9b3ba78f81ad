-- What is held in one VRF, or (vrf null) in all, ordered by VRF and address, after the pair of `after_vrf` and
-- `after_address`.
create or replace function ipam.list_all(
  vrf text, after_vrf text default null, after_address inet default null, page_size int default 100
) returns setof ipam.answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  select x.*
  from (
    select a
    from ipam.allocation a
    where a.released_at is null
      and a.vrf >= coalesce(list_all.vrf, list_all.after_vrf, '') collate "C"
      and (list_all.vrf is null or a.vrf = list_all.vrf)
      and (a.vrf, a.unit) > (
        coalesce(list_all.after_vrf, list_all.vrf, '') collate "C", coalesce(list_all.after_address, '0.0.0.0/0'::inet)
      )
    order by a.vrf, a.unit
    limit list_all.page_size
  ) page cross join lateral ipam.listed(page.a) x;
end
$function$;
