-- What an owner holds, in one VRF, or (vrf null) in all, ordered by VRF and address, after the pair of `after_vrf` and
-- `after_address`.
create or replace function ipam.list_by_owner(
  vrf text, owner_kind text, owner_id text, after_vrf text default null, after_address inet default null,
  page_size int default 100
) returns setof ipam.answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from (
    select a
    from ipam.allocation a
    where a.owner_kind = list_by_owner.owner_kind and a.owner_id = list_by_owner.owner_id and a.released_at is null
      and (list_by_owner.vrf is null or a.vrf = list_by_owner.vrf)
      and (a.vrf, a.unit) > (
        coalesce(list_by_owner.after_vrf, list_by_owner.vrf, '') collate "C",
        coalesce(list_by_owner.after_address, '0.0.0.0/0'::inet)
      )
    order by a.vrf, a.unit
    limit list_by_owner.page_size
  ) page cross join lateral ipam.listed(page.a) x;
$function$;
