-- Checks every invariant that SQL can see, in one snapshot. No row: all hold.
--
-- Comes back: one row a finding: the check, where, what is off, and the repair. Counts are exact when nothing is written
-- meanwhile and also beside writers: every call changes allocation, extents and counters in one transaction.
-- Cost: reads every allocation and extent once; for the operator, not for a hot path.
create or replace function ipam.doctor() returns table (check_name text, vrf text, pool text, detail text, repair text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
  with live as materialized (
    select a.vrf, a.pool_id, a.range_id, a.unit, a.generation, a.reserved from ipam.allocation a where a.released_at is null
  ),

  extent as materialized (
    select
      e.vrf, e.pool_id, e.range_id, e.next, e.last, e.available_at, e.generation, ipam.unit_count(e.next, e.last) as units,
      lag(e.last) over (partition by e.vrf order by e.next, e.last) as before
    from ipam.free_extent e
  ),

  counted as (
    select
      p.vrf, p.pool_id, p.name, p.size,
      (select coalesce(sum(ipam.unit_count(r.first, r.last)), 0) from ipam.range r where r.vrf = p.vrf and r.pool_id = p.pool_id) as span,
      (select count(*) from live l where l.vrf = p.vrf and l.pool_id = p.pool_id) as held,
      (select coalesce(sum(e.units), 0) from extent e where e.vrf = p.vrf and e.pool_id = p.pool_id) as shown,
      (select coalesce(sum(e.units), 0) from extent e where e.vrf = p.vrf and e.pool_id = p.pool_id and e.available_at = 'infinity') as reserved,
      c.held as counted_held, c.reserved as counted_reserved
    from ipam.pool p
      cross join lateral (
        select coalesce(sum(n.held), 0) as held, coalesce(sum(n.reserved), 0) as reserved
        from ipam.pool_counter n
        where n.vrf = p.vrf and n.pool_id = p.pool_id
      ) c
    where p.deleted_at is null
  ),

  finding (check_name, vrf, pool_id, detail) as (
    select 'counter of held', c.vrf, c.pool_id, format('counted %s, held %s', c.counted_held, c.held)
    from counted c where c.counted_held <> c.held
    union all
    select 'counter of reserved', c.vrf, c.pool_id, format('counted %s, reserved %s', c.counted_reserved, c.reserved)
    from counted c where c.counted_reserved <> c.reserved
    union all
    select 'size', c.vrf, c.pool_id, format('size %s, ranges %s', c.size, c.span) from counted c where c.size <> c.span
    union all
    select 'held + free + cooling + reserved = size', c.vrf, c.pool_id, format('held %s + extents %s, ranges %s', c.held, c.shown, c.span)
    from counted c where c.held + c.shown <> c.span
    union all
    select 'extents overlap', e.vrf, e.pool_id, format('%s is in two extents', host(e.next)) from extent e where e.next <= e.before
    union all
    select 'extent out of order', e.vrf, e.pool_id, format('%s is after %s', host(e.next), host(e.last)) from extent e where e.next > e.last
    union all
    select 'extent outside its range', e.vrf, e.pool_id, format('%s-%s', host(e.next), host(e.last))
    from extent e
    where not exists (
      select from ipam.range r
      where r.vrf = e.vrf and r.range_id = e.range_id and r.pool_id = e.pool_id and r.first <= e.next and e.last <= r.last
    )
    union all
    select 'allocation outside its range', l.vrf, l.pool_id, host(l.unit)
    from live l
    where not exists (
      select from ipam.range r
      where r.vrf = l.vrf and r.range_id = l.range_id and r.pool_id = l.pool_id and r.first <= l.unit and l.unit <= r.last
    )
    union all
    select 'free and held', l.vrf, l.pool_id, host(l.unit)
    from live l
      join lateral (
        select e.next from ipam.free_extent e where e.vrf = l.vrf and e.pool_id = l.pool_id and e.last >= l.unit order by e.last limit 1
      ) e on e.next <= l.unit
    union all
    select 'one live allocation a unit', l.vrf, min(l.pool_id), format('%s has %s', host(l.unit), count(*))
    from live l group by l.vrf, l.unit having count(*) > 1
    union all
    select 'reserved but free', e.vrf, e.pool_id, format('%s-%s', host(e.next), host(e.last))
    from extent e
    where e.available_at < 'infinity' and exists (
      select from ipam.reservation s where s.vrf = e.vrf and s.pool_id = e.pool_id and s.first <= e.last and s.last >= e.next
    )
    union all
    select 'generation would repeat', a.vrf, a.pool_id, format('%s had %s, its extent has %s', host(a.unit), max(a.generation), min(e.generation))
    from ipam.allocation a
      join lateral (
        select f.next, f.generation from ipam.free_extent f where f.vrf = a.vrf and f.pool_id = a.pool_id and f.last >= a.unit order by f.last limit 1
      ) e on e.next <= a.unit and e.generation < a.generation
    group by a.vrf, a.pool_id, a.unit
  )

  select f.check_name, f.vrf::text, coalesce(p.name::text, f.pool_id::text), f.detail, 'doctor --repair rebuilds extents and counters from the allocations'
  from finding f left join ipam.pool p on p.vrf = f.vrf and p.pool_id = f.pool_id
  union all
  select * from ipam.doctor_operations()
  union all
  select 'synchronous_commit', null, null, format('is %s', current_setting('synchronous_commit')),
    'set it to on for the database: an acknowledged allocation must survive a crash'
  where current_setting('synchronous_commit') in ('off', 'local');
end;
