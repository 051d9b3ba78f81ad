-- Allocates addresses that another system says are in use, each for its own owner, up to 256 a call. They are confirmed
-- at once, even if they are reserved, draining or in cooldown.
--
-- pool: a name, or an id (digits only). request_id: that of the other system, always the same. slots, addresses,
-- owner_kinds, owner_ids: of equal length, 1 to 256; a slot stands for one address. dry_run: writes nothing and returns
-- what would become of them.
-- Returns one row a slot, in the order asked. Its outcome:
--   allocated, replayed: held by its key, for its owner
--   moved: held by its key, for the owner in the row
--   address_taken: held by another key, for the owner in the row
--   key_released: its key was released
--   key_reused: its key holds another address
--   contended: another transaction is about to allocate or release it; nothing was done, ask again
--   address_outside: the pool does not have it
--   unknown_pool
-- Repeatable: by its keys. Each slot stands alone: a refused slot does not withhold the others.
-- Safe: each address of a range has exactly one cover, its extent or the live allocation. What is allocated is read
-- from locked extents, and the outcomes of the rest are read in one later snapshot. It never waits for an extent, so it
-- holds nothing while waiting for one. Locks are taken in this order: extents by address, keys by slot, the counter.
-- Cost: two index probes and an insert for each address; each extent is cut once a call.
create or replace function ipam.import_addresses(
  vrf text, pool text, request_id uuid, slots text[], addresses inet[], owner_kinds text[], owner_ids text[],
  dry_run boolean default false
) returns table (slot text, outcome text, owner_kind text, owner_id text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_pool_id bigint;
  v_extents ipam.free_extent[];
  v_taken ipam.allocation[];
begin
  perform ipam.check_request(import_addresses.vrf, import_addresses.request_id, slots);
  perform ipam.check_slots(slots, array_fill(import_addresses.pool, array[cardinality(slots)]), addresses);
  select f.pool_id into v_pool_id from ipam.find_pool(import_addresses.vrf, import_addresses.pool) f;

  if dry_run is not true then
    -- The extents that contain the addresses of new keys, except those that another transaction has locked.
    select array_agg(locked.e) into v_extents
    from (
      select e
      from ipam.free_extent e
      where e.extent_id = any (array(
        select distinct extent.extent_id
        from unnest(slots, addresses) t (slot, address)
          cross join lateral (
            select x.extent_id, x.next
            from ipam.free_extent x
            where x.vrf = import_addresses.vrf and x.pool_id = v_pool_id and x.last >= t.address
            order by x.last
            limit 1
          ) extent
          left join lateral (
            select true as known
            from ipam.allocation a
            where a.request_id = import_addresses.request_id and a.vrf = import_addresses.vrf and a.slot = t.slot
            limit 1
          ) key on true
        where extent.next <= t.address and key.known is null
      ))
      order by e.last
      for update skip locked
    ) locked;

    -- Allocations of the addresses that the locked rows still contain, unless a live allocation holds one, which only
    -- corrupted data can show.
    with inserted as (
      insert into ipam.allocation as a (
        vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint, owner_kind, owner_id, reserved,
        draining, allocated_at, confirmed_at
      )
      select
        import_addresses.vrf, import_addresses.request_id, t.slot, v_pool_id, e.range_id, t.address, e.generation + 1,
        ipam.fingerprint(v_pool_id, t.address, t.owner_kind, t.owner_id), t.owner_kind, t.owner_id,
        e.available_at = 'infinity', e.draining, v_now, v_now
      from unnest(slots, addresses, owner_kinds, owner_ids) t (slot, address, owner_kind, owner_id)
        join unnest(v_extents) e on e.next <= t.address and e.last >= t.address
        left join lateral (
          select l.unit
          from ipam.allocation l
          where l.vrf = import_addresses.vrf and l.unit >= t.address and l.unit <= t.address and l.released_at is null
          order by l.unit
          limit 1
        ) holder on true
      where holder.unit is null
      order by t.slot collate "C"
      on conflict (request_id, vrf, slot) do nothing
      returning a
    )
    select array_agg(inserted.a) into v_taken from inserted;

    -- Each extent is cut at its allocated addresses: the units below each of them become an extent, and those above the
    -- highest one keep the row.
    with lost as materialized (
      select
        e.extent_id, t.unit, e.last,
        coalesce(ipam.unit_next(lag(t.unit) over extent), e.next) as low,
        lead(t.unit) over extent is null as highest
      from unnest(v_taken) t join unnest(v_extents) e on e.next <= t.unit and e.last >= t.unit
      window extent as (partition by e.extent_id order by t.unit)
    ),

    below as (
      insert into ipam.free_extent (
        vrf, pool_id, range_id, available_at, cooling_until, next, last, generation, last_owner_kind, last_owner_id,
        draining
      )
      select
        e.vrf, e.pool_id, e.range_id, e.available_at, e.cooling_until, l.low, ipam.unit_prev(l.unit), e.generation,
        e.last_owner_kind, e.last_owner_id, e.draining
      from lost l join unnest(v_extents) e on e.extent_id = l.extent_id
      where l.low < l.unit
    ),

    above as (
      update ipam.free_extent e
      set next = ipam.unit_next(l.unit)
      from lost l
      where e.extent_id = l.extent_id and l.highest and l.unit < l.last
    )

    delete from ipam.free_extent e
    where e.extent_id = any (array(select l.extent_id from lost l where l.highest and l.unit = l.last));

    if v_taken is not null then
      perform ipam.count_units(
        import_addresses.vrf, v_pool_id, cardinality(v_taken),
        -(select count(*) from unnest(v_taken) t where t.reserved)
      );
    end if;
  end if;

  -- The outcome of each slot. One snapshot shows exactly one cover of each address of the pool.
  return query
  select
    t.slot,
    case
      when v_pool_id is null then 'unknown_pool'
      when new.slot is not null then 'allocated'
      when key.released_at is not null then 'key_released'
      when key.unit <> t.address then 'key_reused'
      when (key.owner_kind, key.owner_id) is distinct from (t.owner_kind, t.owner_id) and key.unit is not null
        then 'moved'
      when key.unit is not null then 'replayed'
      when holder.unit is not null then 'address_taken'
      when extent.next <= t.address then case when dry_run then 'allocated' else 'contended' end
      else 'address_outside'
    end,
    coalesce(key.owner_kind, holder.owner_kind), coalesce(key.owner_id, holder.owner_id)
  from unnest(slots, addresses, owner_kinds, owner_ids) with ordinality t (slot, address, owner_kind, owner_id, ordinal)
    left join lateral (select n.slot from unnest(v_taken) n where n.slot = t.slot limit 1) new on true
    left join lateral (
      select a.unit, a.released_at, a.owner_kind, a.owner_id
      from ipam.allocation a
      where a.request_id = import_addresses.request_id and a.vrf = import_addresses.vrf and a.slot = t.slot
      limit 1
    ) key on true
    left join lateral (
      select l.unit, l.owner_kind, l.owner_id
      from ipam.allocation l
      where l.vrf = import_addresses.vrf and l.unit >= t.address and l.unit <= t.address and l.released_at is null
      order by l.unit
      limit 1
    ) holder on true
    left join lateral (
      select x.next
      from ipam.free_extent x
      where x.vrf = import_addresses.vrf and x.pool_id = v_pool_id and x.last >= t.address
      order by x.last
      limit 1
    ) extent on true
  order by t.ordinal;
end
$function$;
