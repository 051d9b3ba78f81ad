-- The allocations of a pool that may be orphans if their owner no longer exists: held for an owner for longer than the
-- grace period. Left out are allocations under an operation that has not ended or whose owner is the target of one, and
-- provisional ones past their ttl, which ipam.reclaim_expired releases whoever their owner is.
--
-- pool: a name or an id. after_address: null starts at the first.
-- Returns at most page_size rows `held`, in the order of addresses; detail.markedSeconds tells how long ago this
-- generation was marked, null if it is not. No row for an unknown pool.
-- Cost: two index probes a row.
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
    select one.held, one.marked_at
    from ipam.find_pool(orphan_candidates.vrf, orphan_candidates.pool) p
      join ipam.range r on r.vrf = orphan_candidates.vrf and r.pool_id = p.pool_id
      cross join lateral (
        select a as held, a.unit, m.marked_at
        from ipam.allocation a
          left join ipam.orphan_mark m
            on m.vrf = a.vrf and m.request_id = a.request_id and m.slot = a.slot and m.generation = a.generation
        where a.vrf = orphan_candidates.vrf and a.released_at is null
          and a.unit between r.first and r.last and (after_address is null or a.unit > after_address)
          and a.owner_kind is not null
          and (a.confirmed_at is not null or a.expires_at > clock_timestamp())
          and greatest(a.allocated_at, a.confirmed_at) < clock_timestamp() - make_interval(secs => grace_seconds)
          and not exists (select from ipam.operation o where o.operation_id = a.request_id and o.pending)
          and not exists (
            select from ipam.operation_target t where t.kind = a.owner_kind and t.id = a.owner_id and t.pending
          )
        order by a.unit
        limit page_size
      ) one
    order by one.unit
    limit page_size
  ) page
    cross join lateral ipam.answer_for(
      'held', (page.held).vrf, null, (page.held).request_id, (page.held).slot, page.held,
      jsonb_build_object('markedSeconds', extract(epoch from clock_timestamp() - page.marked_at))
    ) x;
end
$function$;
