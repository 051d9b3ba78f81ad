-- What a pool holds for an owner since longer ago than the grace period, in address order: what may be an orphan, if its owner is gone.
--
-- pool: a name or an id. after_address: null to begin with. Comes back: `held`, no more rows than page_size; of an unknown pool none.
create or replace function ipam.orphan_candidates(
  vrf text, pool text, grace_seconds double precision, after_address inet default null, page_size int default 1000
) returns setof ipam.answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  select x.*
  from (
    select held
    from ipam.find_pool(orphan_candidates.vrf, orphan_candidates.pool) p
      join ipam.range r on r.vrf = orphan_candidates.vrf and r.pool_id = p.pool_id
      cross join lateral (
        select a as held, a.unit
        from ipam.allocation a
        where a.vrf = orphan_candidates.vrf and a.released_at is null
          and a.unit between r.first and r.last and a.unit > coalesce(after_address, '0.0.0.0')
          and a.owner_kind is not null
          and greatest(a.allocated_at, a.confirmed_at) < clock_timestamp() - make_interval(secs => grace_seconds)
        order by a.unit
        limit page_size
      ) one
    order by one.unit
    limit page_size
  ) page cross join lateral ipam.listed(page.held) x;
end
$function$;
