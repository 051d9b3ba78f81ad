-- A pool as reads show it. held and reserved are the sums of its counters, cooling is counted from its extents, and
-- free is the rest; `draining` is the part of free that no automatic request gets. The state of the pool is `draining`
-- if all of it drains.
create or replace function ipam.pool_answer_for(
  outcome text, vrf text, pool_id bigint, name text, detail jsonb default null
) returns ipam.pool_answer
language sql stable
set search_path = pg_catalog, pg_temp
as $function$
  select row(
    pool_answer_for.outcome, pool_answer_for.vrf, p.pool_id, coalesce(p.name, pool_answer_for.name), p.family, p.size,
    c.held, c.reserved, k.cooling + d.cooling, p.size - c.held - c.reserved - k.cooling - d.cooling,
    extract(epoch from p.cooldown)::double precision, p.gateway,
    p.include_network_addresses, r.ranges, p.created_at, pool_answer_for.detail, d.draining,
    case when p.draining then 'draining' when p.pool_id is not null then 'active' end, p.description, p.revision
  )::ipam.pool_answer
  from (select statement_timestamp() as now) asked
    left join ipam.pool p on p.vrf = pool_answer_for.vrf and p.pool_id = pool_answer_for.pool_id
    left join lateral (
      select coalesce(sum(n.held), 0) as held, coalesce(sum(n.reserved), 0) as reserved
      from ipam.pool_counter n
      where n.vrf = p.vrf and n.pool_id = p.pool_id
    ) c on p.pool_id is not null
    left join lateral (
      select coalesce(sum(ipam.unit_count(e.next, e.last)), 0) as cooling
      from ipam.free_extent e
      where e.vrf = p.vrf and e.pool_id = p.pool_id and not e.draining
        and e.available_at > asked.now and e.available_at < 'infinity'
    ) k on p.pool_id is not null
    left join lateral (
      select
        coalesce(sum(ipam.unit_count(e.next, e.last)) filter (where e.available_at > asked.now), 0) as cooling,
        coalesce(sum(ipam.unit_count(e.next, e.last)) filter (where e.available_at <= asked.now), 0) as draining
      from ipam.free_extent e
      where e.vrf = p.vrf and e.pool_id = p.pool_id and e.draining and e.available_at < 'infinity'
    ) d on p.pool_id is not null
    left join lateral (
      select coalesce(
        jsonb_agg(
          jsonb_build_object(
            'first', host(g.first), 'last', host(g.last), 'prefixLength', g.prefix_length, 'gateway', host(g.gateway),
            'state', case when g.draining then 'draining' else 'active' end, 'revision', g.revision::text
          )
          order by g.first
        ), '[]'
      ) as ranges
      from ipam.range g
      where g.vrf = p.vrf and g.pool_id = p.pool_id
    ) r on p.pool_id is not null;
$function$;
