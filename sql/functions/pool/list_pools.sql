-- The pools of one VRF, or (vrf null) of all, ordered by VRF and name, after the pair of `after_vrf` and `after_name`.
create or replace function ipam.list_pools(
  vrf text default null, after_vrf text default null, after_name text default null, page_size int default 100
) returns setof ipam.pool_answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from (
    select p.vrf, p.pool_id, p.name
    from ipam.pool p
    where p.deleted_at is null and (list_pools.vrf is null or p.vrf = list_pools.vrf)
      and (p.vrf, p.name) > (
        coalesce(list_pools.after_vrf, list_pools.vrf, '') collate "C", coalesce(list_pools.after_name, '') collate "C"
      )
    order by p.vrf, p.name
    limit list_pools.page_size
  ) page cross join lateral ipam.pool_answer_for('found', page.vrf, page.pool_id, page.name) x;
$function$;
