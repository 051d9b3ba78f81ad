-- Returns the units of allocations that were just released to their pools, and counts them, pool by pool in the order
-- of pool ids.
--
-- released: allocations of this VRF; a tombstone without a unit is skipped. at: the time of the release, from which
-- cooldowns count. Adjacent units of one part of a range (ipam.range_part) and with one last owner
-- become one extent.
-- Safe: a unit can be released whatever has become of its range or pool. If no range of its pool contains it any more,
-- this leaves what ipam.settle_covers leaves of a removed extent: the cooldown as a parked extent, and the generation
-- as the floor of the VRF. If a free extent already ends with the last of adjacent units, which only corrupted data can
-- show, that extent stays as it is, and the others of them are left to ipam.repair.
create or replace function ipam.free_units(vrf text, released ipam.allocation[], at timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool record;
begin
  for v_pool in
    with freed as materialized (
      select
        r.pool_id, home.range_id, r.unit, r.generation, r.owner_kind, r.owner_id, r.reserved, r.draining,
        ipam.unit_count(home.first, r.unit) as ordinal, ipam.range_part(home.first, home.last, r.unit) as part,
        ipam.available_after(r.reserved, p.cooldown, free_units.at) as available_at,
        ipam.cooling_until(r.reserved, p.cooldown, free_units.at) as cooling_until
      from unnest(free_units.released) r
        join lateral (
          select o.cooldown from ipam.pool o where o.vrf = free_units.vrf and o.pool_id = r.pool_id limit 1
        ) p on true
        left join lateral (
          select n.range_id, n.first, n.last
          from ipam.range n
          where n.vrf = free_units.vrf and n.pool_id = r.pool_id and n.first <= r.unit
          order by n.first desc
          limit 1
        ) home on home.last >= r.unit
      where r.unit is not null
    ),

    -- Adjacent units have adjacent places among those of their kind: the difference of both places tells runs apart.
    placed as (
      select
        f.*,
        f.ordinal - row_number() over (
          partition by
            f.pool_id, f.range_id, f.part, f.available_at, f.cooling_until, f.draining, f.owner_kind, f.owner_id
          order by f.ordinal
        ) as run
      from freed f
      where f.range_id is not null
    ),

    freed_extent as (
      insert into ipam.free_extent (
        vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id, draining,
        cooling_until
      )
      select
        free_units.vrf, p.pool_id, p.range_id, p.available_at, min(p.unit), max(p.unit), max(p.generation),
        p.owner_kind, p.owner_id, p.draining, p.cooling_until
      from placed p
      group by
        p.pool_id, p.range_id, p.part, p.available_at, p.cooling_until, p.draining, p.owner_kind, p.owner_id, p.run
      order by p.pool_id, max(p.unit)
      on conflict (vrf, pool_id, last) do nothing
    ),

    parked_extent as (
      insert into ipam.parked_extent (vrf, first, last, available_at, last_owner_kind, last_owner_id)
      select free_units.vrf, f.unit, f.unit, coalesce(f.cooling_until, f.available_at), f.owner_kind, f.owner_id
      from freed f
      where f.range_id is null and (f.cooling_until is not null or f.available_at > free_units.at and not f.reserved)
    ),

    raised_floor as (
      update ipam.vrf v
      set generation_floor = gone.generation
      from (select max(f.generation) as generation from freed f where f.range_id is null) gone
      where v.vrf = free_units.vrf and v.generation_floor < gone.generation
    )

    select f.pool_id, count(*) as held, count(*) filter (where f.reserved and f.range_id is not null) as reserved
    from freed f
    group by f.pool_id
    order by f.pool_id
  loop
    perform ipam.count_units(free_units.vrf, v_pool.pool_id, -v_pool.held, v_pool.reserved);
  end loop;
end
$function$;
