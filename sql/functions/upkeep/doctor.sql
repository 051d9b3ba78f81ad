-- Checks every invariant that SQL can see, of all pools, in one snapshot.
--
-- Returns one row for each failed check and pool: the check, where it failed, what is wrong (how many, and the first
-- three), and what ipam.repair does about it, or which decision a person must make, with the command for the first
-- case. No row: all invariants hold.
-- Exact under concurrent writes too: every call changes allocations, extents and counters in one transaction.
-- Cost: linear in allocations, extents and ranges, which are sorted by address once.
create or replace function ipam.doctor() returns table (check_name text, vrf text, pool text, detail text, repair text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
  -- Every span of addresses, by kind: ranges (0), extents (1), what is held (2), and what was released, with its
  -- largest generation (3).
  with span as (
    select
      r.vrf, r.first::inet as first, r.last::inet as last, 0 as kind, r.pool_id, r.range_id, r.draining,
      false as reserved, null::bigint as generation, null::uuid as request_id, null::text as slot
    from ipam.range r
    union all
    select
      e.vrf, e.next, e.last, 1, e.pool_id, e.range_id, e.draining, e.available_at = 'infinity', e.generation, null, null
    from ipam.free_extent e
    where e.next <= e.last
    union all
    select a.vrf, a.unit, a.unit, 2, a.pool_id, a.range_id, a.draining, a.reserved, null, a.request_id, a.slot
    from ipam.allocation a
    where a.released_at is null
    union all
    select a.vrf, a.unit, a.unit, 3, null, null, null, null, max(a.generation), null, null
    from ipam.allocation a
    where a.released_at is not null and a.unit is not null
    group by a.vrf, a.unit
  ),

  -- In the order of addresses: how many ranges and extents there are up to each span, and how far extents, what is held
  -- and both reach before it.
  ordered as materialized (
    select
      p.*,
      count(*) filter (where p.kind = 0) over by_address as range_number,
      count(*) filter (where p.kind = 1) over by_address as extent_number,
      max(p.last) filter (where p.kind = 1) over before as extents_reach,
      max(p.last) filter (where p.kind = 2) over before as held_reach,
      max(p.last) filter (where p.kind in (1, 2)) over before as covers_reach
    from span p
    window
      by_address as (partition by p.vrf order by p.first, p.kind rows unbounded preceding),
      before as (partition by p.vrf order by p.first, p.kind rows between unbounded preceding and 1 preceding)
  ),

  -- Each cover, an extent or something held, with the range that contains it and the reservations of the pool.
  cover as materialized (
    select
      c.*, home.pool_id as home_pool_id, home.range_id as home_range_id, home.last as home_last,
      home.draining as home_draining, coalesce(s.spans, '{}') as reserved_spans
    from ordered c
      left join ordered home
        on home.kind = 0 and home.vrf = c.vrf and home.range_number = c.range_number and home.last >= c.first
      left join (
        select n.vrf, n.pool_id, range_agg(ipam.unit_span(n.first, n.last)) as spans
        from ipam.reservation n
        group by n.vrf, n.pool_id
      ) s on s.vrf = home.vrf and s.pool_id = home.pool_id
    where c.kind in (1, 2)
  ),

  -- The first problem of each cover.
  wrong (check_name, vrf, pool_id, first, what, release) as (
    select
      w.check_name, c.vrf, c.pool_id, c.first,
      case c.kind
        when 1 then host(c.first) || case when c.first < c.last then '-' || host(c.last) else '' end
        else format('%s (request %s, slot %s)', host(c.first), c.request_id, c.slot)
      end,
      format('saga-ipam release --request %s --slot %L --vrf %L', c.request_id, c.slot, c.vrf)
    from cover c
      cross join lateral (
        select case
          when c.kind = 2 and c.first = c.held_reach then 'held twice'
          when (c.home_pool_id = c.pool_id and c.home_last >= c.last) is not true
            then case c.kind when 1 then 'extent outside its range' else 'held outside its range' end
          when c.first <= c.extents_reach then case c.kind when 1 then 'extents overlap' else 'free and held' end
          when c.range_id <> c.home_range_id then 'range differs'
          when c.draining <> c.home_draining then 'draining differs'
          when case c.kind
            when 2 then c.reserved and not c.reserved_spans @> c.first
            else c.reserved and not c.reserved_spans @> ipam.unit_span(c.first, c.last)
          end then 'reserved without a reservation'
          when not c.reserved and case c.kind
            when 2 then c.reserved_spans @> c.first
            else c.reserved_spans && ipam.unit_span(c.first, c.last)
          end then 'reservation without effect'
        end as check_name
      ) w
    where w.check_name is not null
    union all
    select 'extent out of order', e.vrf, e.pool_id, e.next, format('%s is after %s', host(e.next), host(e.last)), null
    from ipam.free_extent e
    where e.next > e.last
    union all
    select
      'generation would repeat', past.vrf, e.pool_id, past.first,
      format('%s had %s, its extent has %s', host(past.first), past.generation, e.generation), null
    from ordered past
      join ordered e on e.kind = 1 and e.vrf = past.vrf and e.extent_number = past.extent_number
    where past.kind = 3 and e.last >= past.first and e.generation < past.generation
    union all
    -- Each cover counts for the units that no cover before it has.
    select
      'neither free nor held', r.vrf, r.pool_id, r.first,
      format('%s of %s-%s', ipam.unit_count(r.first, r.last) - coalesce(covered.units, 0), host(r.first), host(r.last)),
      null
    from ordered r
      left join (
        select
          c.vrf, c.home_range_id,
          sum(
            case
              when c.covers_reach >= least(c.last, c.home_last) then 0
              else ipam.unit_count(greatest(c.first, ipam.unit_next(c.covers_reach)), least(c.last, c.home_last))
            end
          ) as units
        from cover c
        group by c.vrf, c.home_range_id
      ) covered on covered.vrf = r.vrf and covered.home_range_id = r.range_id
    where r.kind = 0 and coalesce(covered.units, 0) < ipam.unit_count(r.first, r.last)
  ),

  counted as (
    select
      p.vrf, p.pool_id, p.size, coalesce(r.units, 0) as ranges, coalesce(a.held, 0) as held,
      coalesce(e.reserved, 0) as reserved, coalesce(n.held, 0) as counted_held,
      coalesce(n.reserved, 0) as counted_reserved
    from ipam.pool p
      left join (
        select r.vrf, r.pool_id, sum(ipam.unit_count(r.first, r.last)) as units
        from ipam.range r
        group by r.vrf, r.pool_id
      ) r on r.vrf = p.vrf and r.pool_id = p.pool_id
      left join (
        select a.vrf, a.pool_id, count(*) as held
        from ipam.allocation a
        where a.released_at is null
        group by a.vrf, a.pool_id
      ) a on a.vrf = p.vrf and a.pool_id = p.pool_id
      left join (
        select e.vrf, e.pool_id, sum(ipam.unit_count(e.next, e.last)) as reserved
        from ipam.free_extent e
        where e.available_at = 'infinity'
        group by e.vrf, e.pool_id
      ) e on e.vrf = p.vrf and e.pool_id = p.pool_id
      left join (
        select n.vrf, n.pool_id, sum(n.held) as held, sum(n.reserved) as reserved
        from ipam.pool_counter n
        group by n.vrf, n.pool_id
      ) n on n.vrf = p.vrf and n.pool_id = p.pool_id
    where p.deleted_at is null
  ),

  finding (check_name, vrf, pool_id, detail, first, release) as (
    select
      w.check_name, w.vrf, w.pool_id,
      case when count(*) > 1 then count(*) || ': ' else '' end
      || array_to_string((array_agg(w.what order by w.first))[1:3], ', ')
      || case when count(*) > 3 then ', ...' else '' end,
      host(min(w.first)), (array_agg(w.release order by w.first))[1]
    from wrong w
    group by w.check_name, w.vrf, w.pool_id
    union all
    select 'counter of held', c.vrf, c.pool_id, format('counted %s, held %s', c.counted_held, c.held), null, null
    from counted c where c.counted_held <> c.held
    union all
    select
      'counter of reserved', c.vrf, c.pool_id, format('counted %s, reserved %s', c.counted_reserved, c.reserved), null,
      null
    from counted c where c.counted_reserved <> c.reserved
    union all
    select 'size', c.vrf, c.pool_id, format('size %s, ranges %s', c.size, c.ranges), null, null
    from counted c where c.size <> c.ranges
  )

  select
    f.check_name, f.vrf::text, coalesce(p.name::text, f.pool_id::text), f.detail,
    case f.check_name
      when 'counter of held' then 'repair adds the difference'
      when 'counter of reserved' then 'repair adds the difference'
      when 'size' then 'repair sets it to what the ranges hold'
      when 'extent out of order' then 'repair removes it'
      when 'extent outside its range' then 'repair removes what lies outside'
      when 'extents overlap' then 'repair leaves each address in the extent with the longest cooldown'
      when 'free and held' then 'repair cuts it out of the extent; it stays held'
      when 'neither free nor held' then 'repair makes it free, as soon as no cooldown can still run'
      when 'generation would repeat' then 'repair gives the extent the larger generation'
      when 'held twice' then
        format(
          'decide whose it is (saga-ipam list --address %s), and release the other, such as: %s', f.first, f.release
        )
      when 'held outside its range' then
        case when p.name is not null then 'add a range that holds it, or ' else '' end
        || format('release it: %s', f.release)
      else 'repair makes it agree with the ranges and reservations of the pool'
    end
  from finding f left join ipam.pool p on p.vrf = f.vrf and p.pool_id = f.pool_id and p.deleted_at is null
  union all
  select * from ipam.doctor_operations()
  union all
  select 'synchronous_commit', null, null, format('is %s', current_setting('synchronous_commit')),
    'set it to on for the database: an acknowledged allocation must survive a crash'
  where current_setting('synchronous_commit') in ('off', 'local');
end;
