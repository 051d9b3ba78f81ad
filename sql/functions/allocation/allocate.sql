-- Allocates one address of a pool to a key: the address asked for, or the lowest free one if no other caller contends
-- for the pool and no transaction keeps an old snapshot.
--
-- vrf, request_id, slot: the key. pool: a name, or an id (digits only). address: null for any. owner_kind, owner_id:
-- both or neither. ttl_seconds: null confirms at once, else the allocation is provisional for that long.
-- allow_reserved, allow_cooling, allow_draining: only for an address asked for; null is false. max_wait_seconds: as in
-- ipam.allocate_many.
-- Returns one row, with an outcome of the table in docs/sql.md.
-- Repeatable: while it is held, the same key returns its first answer; after its release it is refused.
-- Safe: an attempt is one statement, with one snapshot and one clock reading. What decides, the head of the extent, is
-- read from the locked row. This function itself only answers `allocated` and `replayed`; every other outcome needs
-- proof, which ipam.allocate_many gives. The pool is resolved before, by a statement of its own: extents carry its id
-- and are removed with it, so a pool that is deleted meanwhile has nothing left to allocate. An operation begins before
-- anything is allocated under its id, so whether the request belongs to one is known by then, too. So is what the key
-- holds: if another transaction inserts it meanwhile, the insert here conflicts and allocates nothing.
-- Cost: independent of the size and fill of the pool (bench/exhaustion.ts, bench/floor.ts).
create or replace function ipam.allocate(
  vrf text, pool text, request_id uuid, slot text default 'default', address inet default null,
  owner_kind text default null, owner_id text default null, ttl_seconds double precision default null,
  allow_reserved boolean default false, allow_cooling boolean default false, allow_draining boolean default false,
  max_wait_seconds double precision default 5
) returns ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_offset smallint := ipam.session_offset();
  -- What this session has read so far to pick extents, and its detours: ipam.next_detours.
  v_read bigint := case
    when pg_current_xact_id_if_assigned() is null
      then pg_stat_get_xact_tuples_returned('ipam.free_extent_pick'::regclass)
  end;
  v_detours int := coalesce(nullif(current_setting('ipam.detours', true), ''), '0');
  v_next_detours int;
  v_pool_id bigint;
  v_fingerprint bytea;
  v_from inet;
  v_known boolean;
  v_taken boolean;
  v_counted boolean;
  v_spent boolean;
  v_extent_id bigint;
  v_unit inet;
  v_generation bigint;
  v_prefix_length int;
  v_gateway inet;
  v_allocation ipam.allocation;
  v_answer ipam.answer;
begin
  if allocate.address is null then
    -- The pool, and whether the key is known. Only the usual call finds a pool here; every other one goes on to
    -- ipam.allocate_many, which checks it and says what is wrong.
    -- A caller that contends with others for the pool starts at its own contention offset: waiting for each other at
    -- the lowest extent costs more than the lowest address is worth. A caller that is alone always gets the lock; it
    -- starts elsewhere only while an old snapshot makes the lowest extent costly to find (see below), and then at
    -- another offset each time.
    select
      p.pool_id, ipam.fingerprint(p.pool_id, null, allocate.owner_kind, allocate.owner_id),
      case
        when v_detours <= 0 and pg_try_advisory_xact_lock(1936877413, (p.pool_id % 2147483647)::int) then '0.0.0.0'
        else coalesce(p.spread[1 + (v_offset + greatest(v_detours, 0)) % 64], '0.0.0.0')
      end,
      exists (
        select
        from ipam.allocation a
        where a.vrf = allocate.vrf and a.request_id = allocate.request_id and a.slot = allocate.slot
      )
    into v_pool_id, v_fingerprint, v_from, v_known
    from ipam.pool p
    where p.vrf = allocate.vrf and p.name = allocate.pool and p.deleted_at is null
      and ipam.may_decide()
      and ipam.request_fits(
        allocate.request_id, allocate.slot, allocate.owner_kind, allocate.owner_id, allocate.ttl_seconds
      )
      -- ipam.allocate_many handles operations, and keys so old that their tombstone may have been pruned.
      and not exists (select from ipam.operation o where o.operation_id = allocate.request_id)
      and (ipam.uuid_time(allocate.request_id) <= clock_timestamp() - interval '24 hours') is not true;

    -- The key is known: the same request gets the same answer again.
    if v_known then
      select a.* into v_allocation
      from ipam.allocation a
      where a.vrf = allocate.vrf and a.request_id = allocate.request_id and a.slot = allocate.slot;
      if v_allocation.released_at is null and v_allocation.fingerprint = v_fingerprint then
        return ipam.answer_for(
          'replayed', allocate.vrf, allocate.pool, allocate.request_id, allocate.slot, v_allocation
        );
      end if;
    end if;

    while v_pool_id is not null and not v_known loop
      v_now := clock_timestamp();

      -- The first free extent from there on that no other transaction has locked.
      with picked as materialized (
        select e.extent_id, e.range_id, e.next, e.last, e.generation
        from ipam.free_extent e
        where e.vrf = allocate.vrf and e.pool_id = v_pool_id and not e.draining
          and e.available_at <= v_now and (e.available_at, e.last) >= ('-infinity', v_from)
        order by e.available_at, e.last
        limit 1
        for update skip locked
      ),

      -- Its head, unless a live allocation holds that unit although it must not. The guard reads the first live unit
      -- from there to there, in order: only the index on units can serve that, whatever the statistics say. With an
      -- equality, a plan made on empty tables used the index of the key and read every row; without the upper bound it
      -- would read all the dead entries between this unit and the next live one.
      inserted as (
        insert into ipam.allocation (
          vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint,
          owner_kind, owner_id, allocated_at, expires_at, confirmed_at
        )
        select
          allocate.vrf, allocate.request_id, allocate.slot, v_pool_id, picked.range_id, picked.next,
          picked.generation + 1, v_fingerprint, allocate.owner_kind, allocate.owner_id, v_now,
          v_now + make_interval(secs => allocate.ttl_seconds), case when allocate.ttl_seconds is null then v_now end
        from picked
          left join lateral (
            select a.unit
            from ipam.allocation a
            where a.vrf = allocate.vrf and a.unit >= picked.next and a.unit <= picked.next and a.released_at is null
            order by a.unit
            limit 1
          ) holder on true
        where holder.unit is null
        on conflict (vrf, request_id, slot) do nothing
        returning vrf
      ),

      -- The extent without its head. One that was only its head is deleted below: that is rare, and costs nothing here.
      advanced_extent as (
        update ipam.free_extent e
        set next = ipam.unit_next(e.next)
        where e.extent_id = (select picked.extent_id from picked where picked.next < picked.last)
          and exists (select from inserted)
      ),

      -- Counted in the session's own counter shard. If another transaction has it, ipam.count_units finds another one.
      counted as (
        update ipam.pool_counter c
        set held = c.held + 1
        where c.vrf = (select inserted.vrf from inserted) and c.pool_id = v_pool_id and c.shard = v_offset
          and ipam.claim_shard(c.pool_id, c.shard)
        returning true as done
      )

      select
        exists (select from inserted), exists (select from counted), picked.extent_id, picked.next = picked.last,
        picked.next, picked.generation + 1, network.prefix_length, network.gateway
      into v_taken, v_counted, v_extent_id, v_spent, v_unit, v_generation, v_prefix_length, v_gateway
      from picked
        left join lateral (
          select r.prefix_length, r.gateway
          from ipam.range r
          where r.vrf = allocate.vrf and r.range_id = picked.range_id
          limit 1
        ) network on true;

      if v_taken then
        if not v_counted then
          perform ipam.count_units(allocate.vrf, v_pool_id, 1, 0);
        end if;
        if v_spent then
          delete from ipam.free_extent e where e.extent_id = v_extent_id;
        end if;

        -- This setting of the session is a hint: it may be rolled back, reset, or left by another caller, since any
        -- extent is as right as the lowest.
        v_read := pg_stat_get_xact_tuples_returned('ipam.free_extent_pick'::regclass) - v_read;
        v_next_detours := ipam.next_detours(v_read, v_from, v_detours);
        if v_next_detours <> v_detours then
          perform set_config('ipam.detours', v_next_detours::text, false);
        end if;
        return row(
          'allocated', allocate.vrf, allocate.pool, allocate.request_id, allocate.slot, v_unit, v_prefix_length,
          v_gateway, v_generation, case when allocate.ttl_seconds is null then 'confirmed' else 'provisional' end,
          v_now + make_interval(secs => allocate.ttl_seconds), allocate.owner_kind, allocate.owner_id, null, null, v_now
        )::ipam.answer;
      end if;

      -- Nothing from the contention offset on: once more, from the lowest.
      exit when v_extent_id is not null or v_from = '0.0.0.0';
      v_from := '0.0.0.0';
    end loop;
  end if;

  select * into strict v_answer
  from ipam.allocate_many(
    allocate.vrf, allocate.request_id, array[allocate.slot], array[allocate.pool], array[allocate.address],
    allocate.owner_kind, allocate.owner_id, allocate.ttl_seconds, allocate.allow_reserved, allocate.allow_cooling,
    allocate.allow_draining, allocate.max_wait_seconds
  );
  return v_answer;
end
$function$;
