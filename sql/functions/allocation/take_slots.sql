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
-- Cost: one statement for each extent that it takes from, and one for all units.
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
  v_left int;
  -- A cursor locks what it fetches and no more.
  v_free cursor (pool_id bigint) for
    select e.*
    from ipam.free_extent e
    where e.vrf = take_slots.vrf and e.pool_id = v_free.pool_id and not e.draining and e.available_at <= take_slots.at
    order by e.available_at, e.last
    for update skip locked;
  v_extent ipam.free_extent;
  v_extent_id bigint;
  v_count int;
  v_last inet;
  -- The runs of neighbouring units that were taken, and for each unit of them in turn the position of its slot.
  v_pool_ids bigint[] := '{}';
  v_range_ids bigint[] := '{}';
  v_firsts inet[] := '{}';
  v_lasts inet[] := '{}';
  v_counts int[] := '{}';
  v_generations bigint[] := '{}';
  v_reserved boolean[] := '{}';
  v_draining boolean[] := '{}';
  v_ordinals int[] := '{}';
  v_spent bigint[] := '{}';
  -- The positions of the slots in the order in which keys are locked.
  v_by_slot int[] := array(
    select w.ordinal from unnest(slots) with ordinality w (slot, ordinal) order by w.slot collate "C"
  );
  v_held inet;
  v_drift jsonb;
  v_taken ipam.allocation[];
  v_pool record;
begin
  for v_wanted in
    select w.pool_id, w.address, min(w.available_at) as available_at, array_agg(w.ordinal::int order by w.ordinal) as ordinals
    from unnest(pool_ids, addresses, available_ats) with ordinality w (pool_id, address, available_at, ordinal)
    group by w.pool_id, w.address
    order by w.pool_id, w.address nulls last
  loop
    v_ordinals := v_ordinals || v_wanted.ordinals;
    v_left := cardinality(v_wanted.ordinals);
    if v_wanted.address is null then
      open v_free (v_wanted.pool_id);
    end if;
    while v_left > 0 loop
      v_extent_id := null;
      if v_wanted.address is null then
        fetch v_free into v_extent;
        v_count := case when found then least(ipam.unit_count(v_extent.next, v_extent.last), v_left) end;
        if v_count is null then
          -- One of the extents that others hold, at random, so that waiters spread over them.
          select e.extent_id into v_extent_id
          from (
            select f.extent_id
            from ipam.free_extent f
            where f.vrf = take_slots.vrf and f.pool_id = v_wanted.pool_id and not f.draining
              and f.available_at <= take_slots.at and f.extent_id <> all (v_spent)
            order by f.available_at, f.last
            limit 64
          ) e
          order by random()
          limit 1;
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
        v_count := case
          when v_wanted.address between v_extent.next and v_extent.last
            and v_extent.available_at = v_wanted.available_at
            and (take_slots.allow_draining or not v_extent.draining)
            then 1
        end;
      end if;
      if v_count is null then
        raise exception using errcode = 'IP001', message = 'short of an extent',
          detail = coalesce(v_extent_id::text, '');
      end if;

      -- What precedes an address asked for becomes an extent of its own. The remaining row keeps its last unit, and
      -- only its next one moves.
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
        v_extent.next := v_wanted.address;
      end if;
      v_last := ipam.unit_after(v_extent.next, v_count - 1);
      if v_last < v_extent.last then
        update ipam.free_extent e set next = ipam.unit_next(v_last) where e.extent_id = v_extent.extent_id;
      elsif v_wanted.address is null then
        v_spent := array_append(v_spent, v_extent.extent_id);
      else
        delete from ipam.free_extent e where e.extent_id = v_extent.extent_id;
      end if;

      v_pool_ids := array_append(v_pool_ids, v_extent.pool_id);
      v_range_ids := array_append(v_range_ids, v_extent.range_id);
      v_firsts := array_append(v_firsts, v_extent.next);
      v_lasts := array_append(v_lasts, v_last);
      v_counts := array_append(v_counts, v_count);
      v_generations := array_append(v_generations, v_extent.generation + 1);
      v_reserved := array_append(v_reserved, v_extent.available_at = 'infinity');
      v_draining := array_append(v_draining, v_extent.draining);
      v_left := v_left - v_count;
    end loop;
    if v_wanted.address is null then
      close v_free;
    end if;
  end loop;
  if v_spent <> '{}' then
    delete from ipam.free_extent e where e.extent_id = any (v_spent);
  end if;

  -- No live allocation may hold any of them: the guard of ipam.allocate.
  select holder.unit into v_held
  from unnest(v_firsts, v_lasts) r (first, last)
    cross join lateral (
      select a.unit
      from ipam.allocation a
      where a.vrf = take_slots.vrf and a.unit >= r.first and a.unit <= r.last and a.released_at is null
      order by a.unit
      limit 1
    ) holder
  limit 1;

  with unit as materialized (
    select
      v_ordinals[row_number() over (order by r.n, u.unit)] as ordinal, r.pool_id, r.range_id, u.unit, r.generation,
      r.reserved, r.draining
    from unnest(v_pool_ids, v_range_ids, v_firsts, v_lasts, v_generations, v_reserved, v_draining)
      with ordinality r (pool_id, range_id, first, last, generation, reserved, draining, n)
      cross join lateral ipam.unit_series(r.first, r.last) u (unit)
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
    array_agg(i.a order by v_by_slot[i.n])
  into v_drift, v_taken
  from (select n.a, row_number() over (order by (n.a).slot collate "C") as n from inserted n) i;
  if v_drift is not null then
    raise exception using errcode = 'IP002', message = 'a free address has a live holder', detail = v_drift;
  end if;
  if cardinality(v_taken) is distinct from cardinality(slots) then
    raise exception using errcode = 'IP001', message = 'the key is in flight in another transaction', detail = '';
  end if;

  for v_pool in
    select r.pool_id, sum(r.count) as held, coalesce(sum(r.count) filter (where r.reserved), 0) as reserved
    from unnest(v_pool_ids, v_counts, v_reserved) r (pool_id, count, reserved)
    group by r.pool_id
    order by r.pool_id
  loop
    perform ipam.count_units(take_slots.vrf, v_pool.pool_id, v_pool.held, -v_pool.reserved);
  end loop;

  return v_taken;
end
$function$;
