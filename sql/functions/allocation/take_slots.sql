-- Allocates a unit for each slot, or raises, which undoes all of it. For ipam.allocate_many alone, inside its
-- subtransaction.
--
-- slots, pool_ids, addresses, fingerprints, available_ats: of equal length, the absent slots as ipam.resolve_outcomes
-- saw them; available_at is that of the extent that contains the address asked for. at: the clock reading of the
-- attempt.
-- Returns the allocations, in the order of `slots`; those that ask for any address of a pool get its units in that
-- order, too.
-- Raises IP001 if it is short of an extent (its id in the detail) or of a key (empty detail) that another transaction
-- holds, and IP002 if a free unit has a live holder (slot and address in the detail).
-- Safe: it waits for no extent. Locks are taken in this order: extents by pool, within a pool those with an address
-- asked for first; keys by slot; counters by pool.
-- Cost: ipam.take_units for each pool, a few statements for each address asked for, and one for all units.
create or replace function ipam.take_slots(
  vrf text, request_id uuid, slots text[], pool_ids bigint[], addresses inet[], fingerprints bytea[],
  available_ats timestamptz[], owner_kind text, owner_id text, expires_at timestamptz, allow_draining boolean,
  at timestamptz
) returns ipam.allocation[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_wanted record;
  v_extent ipam.free_extent;
  v_extent_id bigint;
  v_part ipam.free_extent[];
  -- The extents that units were taken from, with next..last those units; and for each unit in turn the position of its
  -- slot.
  v_spans ipam.free_extent[] := '{}';
  v_ordinals int[] := '{}';
  v_held inet;
  v_drift jsonb;
  v_taken ipam.allocation[];
  v_pool record;
begin
  for v_wanted in
    select
      w.pool_id, w.address, min(w.available_at) as available_at,
      array_agg(w.ordinal::int order by w.ordinal) as ordinals
    from unnest(pool_ids, addresses, available_ats) with ordinality w (pool_id, address, available_at, ordinal)
    group by w.pool_id, w.address
    order by w.pool_id, w.address nulls last
  loop
    v_ordinals := v_ordinals || v_wanted.ordinals;
    v_extent_id := null;
    if v_wanted.address is null then
      v_part := ipam.take_units(
        take_slots.vrf, v_wanted.pool_id, cardinality(v_wanted.ordinals), '0.0.0.0', take_slots.at
      );
      if cardinality(v_wanted.ordinals) > (
        select coalesce(sum(ipam.unit_count(s.next, s.last)), 0) from unnest(v_part) s
      ) then
        -- One of the extents that others hold, at random, so that waiters spread over them.
        select e.extent_id into v_extent_id
        from (
          select f.extent_id
          from ipam.free_extent f
          where f.vrf = take_slots.vrf and f.pool_id = v_wanted.pool_id and not f.draining
            and f.available_at <= take_slots.at
          order by f.available_at, f.last
          limit 64
        ) e
        order by random()
        limit 1;
        v_part := null;
      end if;
    else
      -- Locked by its id. It must still be the extent that was judged: another row may contain the address by now.
      select e.extent_id into v_extent_id
      from ipam.free_extent e
      where e.vrf = take_slots.vrf and e.pool_id = v_wanted.pool_id and e.last >= v_wanted.address
      order by e.last
      limit 1;
      select e.* into v_extent
      from ipam.free_extent e
      where e.extent_id = v_extent_id
      for update skip locked;
      v_part := case
        when v_wanted.address between v_extent.next and v_extent.last
          and v_extent.available_at = v_wanted.available_at
          and (take_slots.allow_draining or not v_extent.draining)
          then array[v_extent]
      end;
    end if;
    if v_part is null then
      raise exception using errcode = 'IP001', message = 'short of an extent', detail = coalesce(v_extent_id::text, '');
    end if;

    -- The extent of an address asked for loses its head, or is split in two. The remaining row keeps its last unit, and
    -- only its next one moves.
    if v_wanted.address is not null then
      if v_extent.next < v_wanted.address then
        insert into ipam.free_extent (
          vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id, draining,
          cooling_until
        )
        values (
          take_slots.vrf, v_extent.pool_id, v_extent.range_id, v_extent.available_at, v_extent.next,
          ipam.unit_prev(v_wanted.address), v_extent.generation, v_extent.last_owner_kind, v_extent.last_owner_id,
          v_extent.draining, v_extent.cooling_until
        );
      end if;
      if v_wanted.address < v_extent.last then
        update ipam.free_extent e
        set next = ipam.unit_next(v_wanted.address)
        where e.extent_id = v_extent.extent_id;
      else
        delete from ipam.free_extent e where e.extent_id = v_extent.extent_id;
      end if;
      v_extent.next := v_wanted.address;
      v_extent.last := v_wanted.address;
      v_part := array[v_extent];
    end if;
    v_spans := v_spans || v_part;
  end loop;

  -- No live allocation may hold any of them: the guard of ipam.allocate.
  select holder.unit into v_held
  from unnest(v_spans) s
    cross join lateral (
      select a.unit
      from ipam.allocation a
      where a.vrf = take_slots.vrf and a.unit >= s.next and a.unit <= s.last and a.released_at is null
      order by a.unit
      limit 1
    ) holder
  limit 1;

  with unit as materialized (
    select
      v_ordinals[row_number() over (order by s.ordinality, u.unit)] as ordinal, s.pool_id, s.range_id, u.unit,
      s.generation + 1 as generation, s.available_at = 'infinity' as reserved, s.draining
    from unnest(v_spans) with ordinality s
      cross join lateral ipam.unit_series(s.next, s.last) u (unit)
  ),

  inserted as (
    insert into ipam.allocation as a (
      vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, owner_kind, owner_id, reserved, draining,
      allocated_at, expires_at, confirmed_at
    )
    select
      take_slots.vrf, take_slots.request_id, slots[u.ordinal], u.pool_id, u.range_id, u.unit, u.generation,
      fingerprints[u.ordinal], take_slots.owner_kind, take_slots.owner_id, u.reserved, u.draining, take_slots.at,
      take_slots.expires_at, case when take_slots.expires_at is null then take_slots.at end
    from unit u
    where v_held is null
    order by slots[u.ordinal] collate "C"
    on conflict (vrf, request_id, slot) do nothing
    returning a
  )

  select
    case
      when v_held is not null then (
        select jsonb_build_object('slot', slots[u.ordinal], 'address', host(u.unit)) from unit u where u.unit = v_held
      )
    end,
    array_agg(i.a order by u.ordinal)
  into v_drift, v_taken
  from inserted i
    join unit u on u.unit = (i.a).unit;
  if v_drift is not null then
    raise exception using errcode = 'IP002', message = 'a free address has a live holder', detail = v_drift;
  end if;
  if cardinality(v_taken) is distinct from cardinality(slots) then
    raise exception using errcode = 'IP001', message = 'the key is in flight in another transaction', detail = '';
  end if;

  for v_pool in
    select
      s.pool_id, sum(u.units) as held, coalesce(sum(u.units) filter (where s.available_at = 'infinity'), 0) as reserved
    from unnest(v_spans) s
      cross join lateral (select ipam.unit_count(s.next, s.last) as units) u
    group by s.pool_id
    order by s.pool_id
  loop
    perform ipam.count_units(take_slots.vrf, v_pool.pool_id, v_pool.held::bigint, -v_pool.reserved);
  end loop;

  return v_taken;
end
$function$;
