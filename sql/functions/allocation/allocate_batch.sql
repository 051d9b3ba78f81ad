-- Allocates one address of a pool to each of several keys that have nothing to do with each other: what ipam.allocate
-- does for each of them, in one statement for all.
--
-- request_ids, slots, owner_kinds, owner_ids, ttls: of equal length, one of each a request; otherwise as the parameters
-- of ipam.allocate. Any address of the pool.
-- Returns a row for each request that it has allocated to: its position in the lists, from 1 on, and the answer. For a
-- request without a row nothing has changed, and ipam.allocate is to be called: if its key is known, in flight, invalid
-- or old, if its operation unwinds, has ended, has an expiry or is in flight, or if there was no address for it.
-- Repeatable: as ipam.allocate, key by key. A key that was allocated to gets no row the second time.
-- Safe: operations are held as in ipam.enter_operation, then extents are locked, then keys in their order, then a
-- counter; operations and extents that another transaction has locked are skipped. As many extents are locked as it
-- takes and no more. Only for keys that are in flight does it wait, 50 ms in all: then it takes them one by one, and
-- leaves those out that it would wait for. A unit whose key turns out to be known is free again in the same statement.
-- Cost: independent of the size and fill of the pool; a tenth of as many single calls.
create or replace function ipam.allocate_batch(
  vrf text, pool text, request_ids uuid[], slots text[], owner_kinds text[], owner_ids text[], ttls double precision[]
) returns table (n int, answer ipam.answer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_offset smallint := ipam.session_offset();
  v_pool_id bigint;
  v_from inet;
  v_entered uuid[];
  v_numbers int[];
  v_request_ids uuid[];
  v_slots text[];
  v_owner_kinds text[];
  v_owner_ids text[];
  v_ttls double precision[];
  v_extents cursor for
    select e.*
    from ipam.free_extent e
    where e.vrf = allocate_batch.vrf and e.pool_id = v_pool_id and not e.draining
      and e.available_at <= v_now and (e.available_at, e.last) >= ('-infinity', v_from)
    order by e.available_at, e.last
    for update skip locked;
  v_extent ipam.free_extent;
  v_begin int := 1;
  v_count int;
  v_left int;
  v_last inet;
  v_spans ipam.free_extent[];
  v_spent bigint[];
  v_new ipam.allocation[];
  v_taken ipam.allocation[] := '{}';
begin
  perform ipam.check_isolation();
  select
    p.pool_id,
    case
      when pg_try_advisory_xact_lock(1936877413, (p.pool_id % 2147483647)::int) then '0.0.0.0'
      else coalesce(p.spread[1 + v_offset], '0.0.0.0')
    end
  into v_pool_id, v_from
  from ipam.pool p
  where p.vrf = allocate_batch.vrf and p.name = allocate_batch.pool and p.deleted_at is null;
  if v_pool_id is null then
    return;
  end if;

  v_entered := array(
    select o.operation_id
    from ipam.operation o
    where o.operation_id = any (allocate_batch.request_ids) and o.state = 'pending' and o.expires_in is null
    for share skip locked
  );

  -- The requests that ipam.allocate would allocate to at its first attempt, one of each key, in the order of keys. LIMIT 1
  -- makes each lookup one by an index: a plan made on small tables would read all operations and keys at once.
  select
    array_agg(w.n), array_agg(w.request_id), array_agg(w.slot), array_agg(w.owner_kind), array_agg(w.owner_id),
    array_agg(w.ttl)
  into v_numbers, v_request_ids, v_slots, v_owner_kinds, v_owner_ids, v_ttls
  from (
    select distinct on (u.request_id, u.slot collate "C") u.*
    from unnest(
      allocate_batch.request_ids, allocate_batch.slots, allocate_batch.owner_kinds, allocate_batch.owner_ids,
      allocate_batch.ttls
    ) with ordinality u (request_id, slot, owner_kind, owner_id, ttl, n)
      left join lateral (
        select o.operation_id as id from ipam.operation o where o.operation_id = u.request_id limit 1
      ) operation on true
      left join lateral (
        select a.slot
        from ipam.allocation a
        where a.vrf = allocate_batch.vrf and a.request_id = u.request_id and a.slot = u.slot
        limit 1
      ) known on true
    where u.request_id <> '00000000-0000-0000-0000-000000000000' and char_length(u.slot) between 1 and 200
      and case
        when u.owner_kind is null then u.owner_id is null
        else char_length(u.owner_kind) between 1 and 200 and char_length(u.owner_id) between 1 and 200
      end
      and (u.ttl is null or u.ttl > 0 and u.ttl <= 3155760000)
      and (ipam.uuid_time(u.request_id) <= v_now - interval '24 hours') is not true
      and (operation.id is null or u.request_id = any (v_entered))
      and known.slot is null
    order by u.request_id, u.slot collate "C"
  ) w;

  -- All of them at once; one by one after a wait that was too long.
  v_count := cardinality(v_numbers);
  while v_begin <= cardinality(v_numbers) loop
    begin
      v_left := v_count;
      v_spans := '{}';
      v_spent := '{}';
      loop
        open v_extents;
        while v_left > 0 loop
          fetch v_extents into v_extent;
          exit when not found;
          v_last := case
            when ipam.unit_count(v_extent.next, v_extent.last) > v_left then ipam.unit_after(v_extent.next, v_left - 1)
            else v_extent.last
          end;
          if v_last < v_extent.last then
            update ipam.free_extent e set next = ipam.unit_next(v_last) where e.extent_id = v_extent.extent_id;
          else
            v_spent := v_spent || v_extent.extent_id;
          end if;
          v_extent.last := v_last;
          v_spans := v_spans || v_extent;
          v_left := v_left - ipam.unit_count(v_extent.next, v_last);
        end loop;
        close v_extents;
        delete from ipam.free_extent e where e.extent_id = any (v_spent);
        -- Too few from the contention offset on: the rest from the lowest.
        exit when v_left = 0 or v_from = '0.0.0.0';
        v_from := '0.0.0.0';
      end loop;

      with unit as materialized (
        select
          s.range_id, s.available_at, s.generation, s.last_owner_kind, s.last_owner_id,
          ipam.unit_after(s.next, step.distance) as unit, row_number() over () as place
        from unnest(v_spans) s
          cross join lateral generate_series(0, ipam.unit_count(s.next, s.last) - 1) step (distance)
      ),

      -- As in ipam.allocate, no unit that a live allocation holds although it must not.
      inserted as (
        insert into ipam.allocation as a (
          vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint,
          owner_kind, owner_id, allocated_at, expires_at, confirmed_at
        )
        select
          allocate_batch.vrf, w.request_id, w.slot, v_pool_id, u.range_id, u.unit, u.generation + 1,
          ipam.fingerprint(v_pool_id, null, w.owner_kind, w.owner_id), w.owner_kind, w.owner_id, v_now,
          v_now + make_interval(secs => w.ttl), case when w.ttl is null then v_now end
        from unnest(v_request_ids, v_slots, v_owner_kinds, v_owner_ids, v_ttls) with ordinality
            w (request_id, slot, owner_kind, owner_id, ttl, ordinal)
          join unit u on u.place = w.ordinal - v_begin + 1
          left join lateral (
            select l.unit
            from ipam.allocation l
            where l.vrf = allocate_batch.vrf and l.unit >= u.unit and l.unit <= u.unit and l.released_at is null
            order by l.unit
            limit 1
          ) holder on true
        where holder.unit is null
        order by w.ordinal
        on conflict (vrf, request_id, slot) do nothing
        returning a
      ),

      -- A unit that was not needed after all, as an extent of its own.
      returned as (
        insert into ipam.free_extent (
          vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id
        )
        select
          allocate_batch.vrf, v_pool_id, u.range_id, u.available_at, u.unit, u.unit, u.generation, u.last_owner_kind,
          u.last_owner_id
        from unit u
        where not exists (select from inserted i where (i.a).unit = u.unit)
      )

      select array_agg(i.a) into v_new from inserted i;
      v_taken := v_taken || v_new;
      v_begin := v_begin + v_count;
    exception
      when lock_not_available then
        if v_count = 1 then
          v_begin := v_begin + 1;
        end if;
        v_count := 1;
        perform set_config('lock_timeout', '1ms', true);
    end;
  end loop;
  perform ipam.count_units(allocate_batch.vrf, v_pool_id, cardinality(v_taken), 0);

  return query
  select
    w.n,
    ipam.answer_for('allocated', allocate_batch.vrf, allocate_batch.pool, w.request_id, w.slot, t)
  from unnest(v_taken) t
    join unnest(v_numbers, v_request_ids, v_slots) w (n, request_id, slot)
      on w.request_id = t.request_id and w.slot = t.slot::text;
end
$function$;
