-- What is held of a pool, in the order of addresses, after `after_address`. It reads range by range, by the index on
-- units.
--
-- For an unknown pool it returns one row, `unknown_pool`: no row would read as "nothing is held".
create or replace function ipam.list_by_pool(
  vrf text, pool text, after_address inet default null, page_size int default 100
) returns setof ipam.answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool record;
begin
  select * into v_pool from ipam.find_pool(list_by_pool.vrf, list_by_pool.pool);
  if not found then
    return next ipam.answer_for(
      'unknown_pool', list_by_pool.vrf, list_by_pool.pool, null, null, null,
      jsonb_build_object('vrfs', ipam.vrfs_with_pool(list_by_pool.pool))
    );
    return;
  end if;
  return query
  select x.*
  from (
    select held.a
    from ipam.range r
      cross join lateral (
        select a
        from ipam.allocation a
        where a.vrf = list_by_pool.vrf and a.released_at is null and a.unit >= r.first and a.unit <= r.last
          and a.unit > coalesce(list_by_pool.after_address, '0.0.0.0/0'::inet)
        order by a.unit
        limit list_by_pool.page_size
      ) held
    where r.vrf = list_by_pool.vrf and r.pool_id = v_pool.pool_id
      and r.last > coalesce(list_by_pool.after_address, '0.0.0.0/0'::inet)
    order by r.first, (held.a).unit
    limit list_by_pool.page_size
  ) page cross join lateral ipam.listed(page.a) x;
end
$function$;
