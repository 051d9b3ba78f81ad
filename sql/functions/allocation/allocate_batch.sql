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
-- Cost: independent of the size and fill of the pool; less than as many single calls (bench/batches.ts).
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
  -- As in ipam.allocate.
  v_read bigint := case
    when pg_current_xact_id_if_assigned() is null
      then pg_stat_get_xact_tuples_returned('ipam.free_extent_pick'::regclass)
  end;
  v_detours int := coalesce(nullif(current_setting('ipam.detours', true), ''), '0');
  v_next_detours int;
  v_pool_id bigint;
  v_from inet;
  v_numbers int[];
  v_request_ids uuid[];
  v_slots text[];
  v_owner_kinds text[];
  v_owner_ids text[];
  v_ttls double precision[];
  v_begin int := 1;
  v_count int;
  v_spans ipam.free_extent[];
  v_extents int := 0;
  v_held int;
  v_counted boolean;
  v_new ipam.answer[];
  v_new_numbers int[];
  v_answers ipam.answer[] := '{}';
  v_answered int[] := '{}';
begin
  if not ipam.may_decide() then
    perform ipam.check_isolation();
  end if;
  select
    p.pool_id,
    case
      when v_detours <= 0 and pg_try_advisory_xact_lock(1936877413, (p.pool_id % 2147483647)::int) then '0.0.0.0'
      else coalesce(p.spread[1 + (v_offset + greatest(v_detours, 0)) % 64], '0.0.0.0')
    end
  into v_pool_id, v_from
  from ipam.pool p
  where p.vrf = allocate_batch.vrf and p.name = allocate_batch.pool and p.deleted_at is null;
  if v_pool_id is null then
    return;
  end if;

  -- The requests that ipam.allocate would allocate to at its first attempt, one of each key, in the order of keys.
  -- LIMIT 1 makes each lookup one by an index: a plan made on small tables would read all operations and keys at once.
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
        select o.operation_id as id
        from ipam.operation o
        where o.operation_id = operation.id and o.state = 'pending' and o.expires_in is null
        limit 1
        for share skip locked
      ) entered on true
      left join lateral (
        select a.slot
        from ipam.allocation a
        where a.vrf = allocate_batch.vrf and a.request_id = u.request_id and a.slot = u.slot
        limit 1
      ) known on true
    where ipam.request_fits(u.request_id, u.slot, u.owner_kind, u.owner_id, u.ttl)
      and (ipam.uuid_time(u.request_id) <= v_now - interval '24 hours') is not true
      and (operation.id is null or entered.id is not null)
      and known.slot is null
    order by u.request_id, u.slot collate "C"
  ) w;

  -- All of them at once; one by one after a wait that was too long.
  v_count := cardinality(v_numbers);
  while v_begin <= cardinality(v_numbers) loop
    begin
      v_spans := ipam.take_units(allocate_batch.vrf, v_pool_id, v_count, v_from, v_now);
      exit when v_spans = '{}';
      v_extents := v_extents + cardinality(v_spans);
      with unit as materialized (
        select
          s.range_id, s.available_at, s.generation, s.last_owner_kind, s.last_owner_id, network.prefix_length,
          network.gateway, u.unit, v_begin - 1 + row_number() over () as place
        from unnest(v_spans) s
          left join lateral (
            select r.prefix_length, r.gateway
            from ipam.range r
            where r.vrf = allocate_batch.vrf and r.range_id = s.range_id
            limit 1
          ) network on true
          cross join lateral ipam.unit_series(s.next, s.last) u (unit)
      ),

      -- As in ipam.allocate, no unit that a live allocation holds although it must not.
      holder as materialized (
        select h.unit
        from unnest(v_spans) s
          cross join lateral (
            select l.unit
            from ipam.allocation l
            where l.vrf = allocate_batch.vrf and l.unit >= s.next and l.unit <= s.last and l.released_at is null
            order by l.unit
            limit v_count
          ) h
      ),

      inserted as (
        insert into ipam.allocation as a (
          vrf, request_id, slot, pool_id, range_id, unit, generation, fingerprint,
          owner_kind, owner_id, allocated_at, expires_at, confirmed_at
        )
        select
          allocate_batch.vrf, v_request_ids[u.place], v_slots[u.place], v_pool_id, u.range_id, u.unit, u.generation + 1,
          ipam.fingerprint(v_pool_id, null, v_owner_kinds[u.place], v_owner_ids[u.place]), v_owner_kinds[u.place],
          v_owner_ids[u.place], v_now, v_now + make_interval(secs => v_ttls[u.place]),
          case when v_ttls[u.place] is null then v_now end
        from unit u
        where not exists (select from holder h where h.unit = u.unit)
        order by u.place
        on conflict (vrf, request_id, slot) do nothing
        returning a.unit
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
        where not exists (select from inserted i where i.unit = u.unit)
      ),

      -- Counted in the session's own counter shard. If another transaction has it, ipam.count_units finds another one.
      counted as (
        update ipam.pool_counter c
        set held = c.held + (select count(*) from inserted)
        where c.vrf = allocate_batch.vrf and c.pool_id = v_pool_id and c.shard = v_offset
          and ipam.claim_shard(c.pool_id, c.shard)
        returning true as done
      )

      select
        count(*), exists (select from counted),
        array_agg(row(
          'allocated', allocate_batch.vrf, allocate_batch.pool, v_request_ids[u.place], v_slots[u.place], u.unit,
          u.prefix_length, u.gateway, u.generation + 1,
          case when v_ttls[u.place] is null then 'confirmed' else 'provisional' end,
          v_now + make_interval(secs => v_ttls[u.place]), v_owner_kinds[u.place], v_owner_ids[u.place], null, null,
          v_now
        )::ipam.answer),
        array_agg(v_numbers[u.place])
      into v_held, v_counted, v_new, v_new_numbers
      from inserted i
        join unit u on u.unit = i.unit;
      if not v_counted then
        perform ipam.count_units(allocate_batch.vrf, v_pool_id, v_held, 0);
      end if;
      v_answers := v_answers || v_new;
      v_answered := v_answered || v_new_numbers;
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

  -- Of what was read, the extents that were taken from are not dead.
  v_read := pg_stat_get_xact_tuples_returned('ipam.free_extent_pick'::regclass) - v_read - v_extents;
  v_next_detours := ipam.next_detours(v_read, v_from, v_detours);
  if v_next_detours <> v_detours then
    perform set_config('ipam.detours', v_next_detours::text, false);
  end if;
  return query select v_answered[row_number() over ()], x from unnest(v_answers) x;
end
$function$;
