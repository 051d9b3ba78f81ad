-- Why a pool has nothing to allocate: its counts, the clock reading for which they hold, and when the next unit becomes
-- free (null: only by a release). Counts are decimal strings, since an IPv6 pool has more units than a JSON number can
-- represent.
--
-- available: what it does have, fewer than were asked of it at once; these do not count as cooling. `expired`: how many
-- of the held units are past their ttl, so that ipam.reclaim_expired would free them, among the hundred that expired
-- first in the VRF. `draining`: what only a request that names the address gets.
create or replace function ipam.exhaustion(vrf text, pool_id bigint, at timestamptz, available int) returns jsonb
language sql stable
begin atomic
  select jsonb_build_object(
    'size', p.size::text,
    'held', c.held::text,
    'reserved', c.reserved::text,
    'cooling', (p.size - c.held - c.reserved - available - d.draining)::text,
    'draining', d.draining::text,
    'at', exhaustion.at,
    'expired', (
      select count(*)::text
      from (
        select a.pool_id
        from ipam.allocation a
        where a.vrf = exhaustion.vrf and a.released_at is null and a.confirmed_at is null
          and a.expires_at <= exhaustion.at
        order by a.expires_at
        limit 100
      ) expired
      where expired.pool_id = exhaustion.pool_id
    ),
    'nextFreeAt', (
      select e.available_at
      from ipam.free_extent e
      where e.vrf = exhaustion.vrf and e.pool_id = exhaustion.pool_id
        and not e.draining and e.available_at > exhaustion.at and e.available_at < 'infinity'
      order by e.available_at, e.last
      limit 1
    )
  )
  from ipam.pool p
    cross join lateral (
      select sum(k.held) as held, sum(k.reserved) as reserved
      from ipam.pool_counter k
      where k.vrf = p.vrf and k.pool_id = p.pool_id
    ) c
    cross join lateral (
      select coalesce(sum(ipam.unit_count(e.next, e.last)), 0) as draining
      from ipam.free_extent e
      where e.vrf = p.vrf and e.pool_id = p.pool_id and e.draining and e.available_at <= exhaustion.at
    ) d
  where p.vrf = exhaustion.vrf and p.pool_id = exhaustion.pool_id;
end;
