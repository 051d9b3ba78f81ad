-- Allocates a unit for each slot, or raises, which undoes all of it. For ipam.allocate_many alone, inside its
-- subtransaction.
--
-- slots, pool_ids, addresses, fingerprints, available_ats: of equal length, the absent slots as ipam.resolve_outcomes
-- saw them; available_at is that of the extent that contains the address asked for. at: the clock reading of the
-- attempt.
-- Returns the allocations, in the order of `slots`.
-- Raises IP001 if it is short of an extent (its id in the detail) or of a key (empty detail) that another transaction
-- holds, and IP002 if a free unit has a live holder (slot and address in the detail).
-- Safe: it waits for no extent. Locks are taken in this order: extents by pool, within a pool those with an address
-- asked for first; keys by slot; counters by pool.
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
  v_extent_id bigint;
  v_extent ipam.free_extent;
  v_unit inet;
  v_new ipam.allocation;
  v_taken ipam.allocation[] := '{}';
  v_detail text;
  v_count int;
  v_pool record;
begin
  for v_wanted in
    select w.*
    from unnest(slots, pool_ids, addresses, fingerprints, available_ats)
      w (slot, pool_id, address, fingerprint, available_at)
    order by w.pool_id, w.address nulls last, w.slot
  loop
    v_extent_id := null;
    if v_wanted.address is null then
      select e.* into v_extent
      from ipam.free_extent e
      where e.vrf = take_slots.vrf and e.pool_id = v_wanted.pool_id and not e.draining
        and e.available_at <= take_slots.at
      order by e.available_at, e.last
      limit 1
      for update skip locked;
      v_unit := v_extent.next;
      if v_unit is null then
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
      v_unit := case
        when v_wanted.address between v_extent.next and v_extent.last and v_extent.available_at = v_wanted.available_at
          and (take_slots.allow_draining or not v_extent.draining)
          then v_wanted.address
      end;
    end if;
    if v_unit is null then
      raise exception using errcode = 'IP001', message = 'short of an extent', detail = coalesce(v_extent_id::text, '');
    end if;

    -- The extent loses its head, or is split in two. The remaining row keeps its last unit, and only its next one
    -- moves.
    if v_extent.next < v_unit then
      insert into ipam.free_extent (
        vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id, draining,
        cooling_until
      )
      values (
        take_slots.vrf, v_extent.pool_id, v_extent.range_id, v_extent.available_at, v_extent.next,
        ipam.unit_prev(v_unit), v_extent.generation, v_extent.last_owner_kind, v_extent.last_owner_id,
        v_extent.draining, v_extent.cooling_until
      );
    end if;
    if v_unit < v_extent.last then
      update ipam.free_extent e set next = ipam.unit_next(v_unit) where e.extent_id = v_extent.extent_id;
    else
      delete from ipam.free_extent e where e.extent_id = v_extent.extent_id;
    end if;

    v_new.vrf := take_slots.vrf;
    v_new.request_id := take_slots.request_id;
    v_new.slot := v_wanted.slot;
    v_new.pool_id := v_extent.pool_id;
    v_new.range_id := v_extent.range_id;
    v_new.unit := v_unit;
    v_new.generation := v_extent.generation + 1;
    v_new.fingerprint := v_wanted.fingerprint;
    v_new.owner_kind := take_slots.owner_kind;
    v_new.owner_id := take_slots.owner_id;
    v_new.reserved := v_extent.available_at = 'infinity';
    v_new.draining := v_extent.draining;
    v_new.allocated_at := take_slots.at;
    v_new.expires_at := take_slots.expires_at;
    v_new.confirmed_at := case when take_slots.expires_at is null then take_slots.at end;
    v_taken := v_taken || v_new;
  end loop;

  select jsonb_build_object('slot', t.slot, 'address', host(t.unit)) into v_detail
  from unnest(v_taken) t
    cross join lateral (
      select a.unit
      from ipam.allocation a
      where a.vrf = take_slots.vrf and a.unit >= t.unit and a.released_at is null
      order by a.unit
      limit 1
    ) holder
  where holder.unit = t.unit
  limit 1;
  if v_detail is not null then
    raise exception using errcode = 'IP002', message = 'a free address has a live holder', detail = v_detail;
  end if;

  insert into ipam.allocation (
    vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, owner_kind, owner_id, reserved, draining,
    allocated_at, expires_at, confirmed_at
  )
  select
    t.vrf, t.request_id, t.slot, t.pool_id, t.range_id, t.unit, t.generation, t.fingerprint, t.owner_kind, t.owner_id,
    t.reserved, t.draining, t.allocated_at, t.expires_at, t.confirmed_at
  from unnest(v_taken) t
  order by t.slot
  on conflict (vrf, request_id, slot) do nothing;
  get diagnostics v_count = row_count;
  if v_count < cardinality(v_taken) then
    raise exception using errcode = 'IP001', message = 'the key is in flight in another transaction', detail = '';
  end if;

  for v_pool in
    select t.pool_id, count(*) as held, count(*) filter (where t.reserved) as reserved
    from unnest(v_taken) t
    group by t.pool_id
    order by t.pool_id
  loop
    perform ipam.count_units(take_slots.vrf, v_pool.pool_id, v_pool.held, -v_pool.reserved);
  end loop;

  return array(select t from unnest(v_taken) t order by array_position(slots, t.slot::text));
end
$function$;
