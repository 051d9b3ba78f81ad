-- Drains a pool or one of its ranges, or ends the draining. Nothing is allocated automatically from a draining one;
-- what is held stays held.
--
-- draining: null is false. range: named by both of its ends; null for the whole pool, with the ranges that it has and
-- those added later.
-- Returns `draining` or `active`; `not_found` if the pool does not have that range; `unknown_pool`.
-- Repeatable. Safe: see ipam.settle_covers. Cost: linear in the extents and the live allocations.
create or replace function ipam.set_draining(
  vrf text, pool text, draining boolean, range text default null
) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(set_draining.vrf, set_draining.pool);
  v_draining boolean := coalesce(set_draining.draining, false);
  v_outcome text := case when v_draining then 'draining' else 'active' end;
  v_span record;
  v_firsts inet[];
  v_lasts inet[];
begin
  if v_pool_id is null then
    return ipam.unknown_pool(set_draining.vrf, set_draining.pool);
  end if;
  select s.* into v_span from ipam.parse_range(set_draining.range) s where set_draining.range is not null;
  if set_draining.range is not null and not exists (
    select from ipam.range r
    where r.vrf = set_draining.vrf and r.pool_id = v_pool_id and r.first = v_span.first and r.last = v_span.last
  ) then
    return ipam.pool_answer_for('not_found', set_draining.vrf, v_pool_id, set_draining.pool);
  end if;

  with changed as (
    update ipam.range r
    set draining = v_draining, revision = r.revision + 1
    where r.vrf = set_draining.vrf and r.pool_id = v_pool_id and r.draining <> v_draining
      and (set_draining.range is null or r.first = v_span.first and r.last = v_span.last)
    returning r.first, r.last
  )

  select array_agg(c.first::inet order by c.first), array_agg(c.last::inet order by c.first) into v_firsts, v_lasts
  from changed c;

  update ipam.pool p
  set
    revision = p.revision + 1,
    -- A pool with a range that does not drain does not drain either.
    draining = case when set_draining.range is null then v_draining else p.draining and v_draining end
  where p.vrf = set_draining.vrf and p.pool_id = v_pool_id
    and (v_firsts is not null or set_draining.range is null and p.draining <> v_draining);
  if v_firsts is not null then
    perform ipam.settle_covers(set_draining.vrf, v_pool_id, v_firsts, v_lasts);
    perform ipam.set_contention_offsets(set_draining.vrf, v_pool_id);
  end if;
  return ipam.pool_answer_for(v_outcome, set_draining.vrf, v_pool_id, set_draining.pool);
end
$function$;
