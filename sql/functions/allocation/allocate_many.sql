-- Allocates one address for each of several slots of a request, all or none, from one or several pools of either
-- family.
--
-- slots, pools, addresses: of equal length, 1 to 256, or up to 65,536 of one pool without addresses; a null address
-- asks for any of the pool. The other parameters are those of ipam.allocate.
-- Returns one row a slot, in the order asked. Slots already held are `replayed`. If one slot is refused, nothing is
-- allocated: it carries its outcome, and absent slots are `withheld`.
-- Repeatable: as ipam.allocate, slot by slot.
-- Under an operation: unless every slot has a row already, the row of the operation is locked before the first attempt
-- until the end of the transaction, so that it can neither start unwinding nor end meanwhile. Once it unwinds or has
-- ended, absent slots are `operation_ended`, with its state. Held slots replay without that lock.
-- Safe: an attempt proves what it refuses (ipam.resolve_outcomes), else allocates everything in one subtransaction
-- without waiting for an extent (ipam.take_slots). If it falls short, that subtransaction is rolled back. Only then it
-- waits, at most 50 ms, for one of the extents that it was short of, and makes another attempt, so that it sees
-- whatever has become free. That lock is shared and given back at once, so a waiter keeps neither other waiters nor a
-- caller that could allocate from the extent.
-- Bounded: 2 s for a key or an operation that another transaction holds (lock_timeout), max_wait_seconds (0 to 3600)
-- for extents; after that it raises lock_not_available (55P03), with nothing written.
-- Cost: of the whole request, not of each slot: ipam.take_slots, and one statement that answers.
create or replace function ipam.allocate_many(
  vrf text, request_id uuid, slots text[], pools text[], addresses inet[] default null,
  owner_kind text default null, owner_id text default null, ttl_seconds double precision default null,
  allow_reserved boolean default false, allow_cooling boolean default false, allow_draining boolean default false,
  max_wait_seconds double precision default 5
) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_deadline timestamptz := clock_timestamp() + make_interval(secs => coalesce(max_wait_seconds, 5));
  v_now timestamptz;
  v_known int;
  v_state text;
  v_may_take boolean;
  v_refused boolean;
  v_index int;
  v_outcomes text[];
  v_details jsonb[];
  v_held ipam.allocation[];
  v_slots text[];
  v_pool_ids bigint[];
  v_addresses inet[];
  v_fingerprints bytea[];
  v_available_ats timestamptz[];
  v_taken ipam.allocation[];
  v_count int := 0;
  v_awaited text;
  v_drifted text;
begin
  perform ipam.check_request(
    allocate_many.vrf, allocate_many.request_id, slots, allocate_many.owner_kind, allocate_many.owner_id,
    allocate_many.ttl_seconds
  );
  perform ipam.check_slots(slots, pools, addresses);
  if (max_wait_seconds between 0 and 3600) is false then
    raise exception using errcode = 'invalid_parameter_value', message = 'max_wait_seconds: must be 0 to 3600';
  end if;

  select count(*) into v_known from ipam.allocation a
  where a.vrf = allocate_many.vrf and a.request_id = allocate_many.request_id and a.slot = any (slots);
  if v_known < cardinality(slots) then
    v_state := ipam.enter_operation(allocate_many.request_id);
  end if;

  -- Most often every slot is new and any address will do. Then the allocation is its own proof: a known key or a pool
  -- that is short undoes it, and the attempts below find out which it was.
  if v_known = 0 and (addresses is null or addresses = array_fill(null::inet, array[cardinality(slots)])) then
    v_now := clock_timestamp();
    with named as materialized (
      select
        w.pool, p.pool_id, ipam.fingerprint(p.pool_id, null, allocate_many.owner_kind, allocate_many.owner_id) as hash
      from (select distinct u.pool from unnest(pools) u (pool)) w
        cross join lateral ipam.find_pool(allocate_many.vrf, w.pool) p
    )

    select
      array_agg(named.pool_id order by t.ordinal), array_agg(named.hash order by t.ordinal),
      coalesce(v_state = 'pending', true) and bool_and(named.pool_id is not null)
        and not ipam.key_expired(allocate_many.request_id, v_now)
    into v_pool_ids, v_fingerprints, v_may_take
    from unnest(pools) with ordinality t (pool, ordinal)
      left join named on named.pool = t.pool;
    begin
      if v_may_take then
        v_taken := ipam.take_slots(
          allocate_many.vrf, allocate_many.request_id, slots, v_pool_ids, null, v_fingerprints, null,
          allocate_many.owner_kind, allocate_many.owner_id, v_now + make_interval(secs => allocate_many.ttl_seconds),
          false, v_now
        );
      end if;
    exception
      when sqlstate 'IP001' or sqlstate 'IP002' then null;
    end;
  end if;

  <<attempts>>
  loop
    exit attempts when v_taken is not null;
    v_now := clock_timestamp();
    select
      array_agg(v.outcome order by v.ordinal), array_agg(v.detail order by v.ordinal),
      array_agg(v.held order by v.ordinal),
      array_agg(slots[v.ordinal] order by v.ordinal) filter (where v.outcome is null),
      array_agg(v.pool_id order by v.ordinal) filter (where v.outcome is null),
      array_agg(addresses[v.ordinal] order by v.ordinal) filter (where v.outcome is null),
      array_agg(v.fingerprint order by v.ordinal) filter (where v.outcome is null),
      array_agg(v.available_at order by v.ordinal) filter (where v.outcome is null),
      bool_or(v.outcome <> 'replayed')
    into v_outcomes, v_details, v_held, v_slots, v_pool_ids, v_addresses, v_fingerprints, v_available_ats, v_refused
    from ipam.resolve_outcomes(
      allocate_many.vrf, allocate_many.request_id, slots, pools, addresses,
      allocate_many.owner_kind, allocate_many.owner_id, allow_reserved, allow_cooling, allow_draining, v_now
    ) v;
    exit attempts when v_refused or v_slots is null;

    begin
      v_taken := ipam.take_slots(
        allocate_many.vrf, allocate_many.request_id, v_slots, v_pool_ids, v_addresses, v_fingerprints, v_available_ats,
        allocate_many.owner_kind, allocate_many.owner_id, v_now + make_interval(secs => allocate_many.ttl_seconds),
        coalesce(allow_draining, false), v_now
      );
      exit attempts;
    exception
      when sqlstate 'IP001' then
        get stacked diagnostics v_awaited = pg_exception_detail;
      when sqlstate 'IP002' then
        get stacked diagnostics v_drifted = pg_exception_detail;
    end;

    if v_drifted is not null then
      v_refused := true;
      v_index := array_position(slots, v_drifted::jsonb ->> 'slot');
      v_outcomes[v_index] := 'drifted';
      v_details[v_index] := v_drifted::jsonb;
      exit attempts;
    end if;
    if clock_timestamp() > v_deadline then
      raise exception using errcode = 'lock_not_available',
        message = format(
          'allocate waited %s s for transactions that hold the last free addresses', coalesce(max_wait_seconds, 5)
        ),
        detail = 'nothing was written';
    end if;
    if v_awaited <> '' then
      begin
        perform set_config('lock_timeout', (25 + random() * 25)::int || 'ms', true);
        perform from ipam.free_extent e where e.extent_id = v_awaited::bigint for key share;
        raise sqlstate 'IP003';
      exception
        when sqlstate 'IP003' or lock_not_available then null;
      end;
    end if;
  end loop;

  if v_outcomes is null then
    v_outcomes := array_fill('allocated'::text, array[cardinality(slots)]);
    v_held := v_taken;
  else
    for v_index in 1 .. cardinality(slots) loop
      if v_outcomes[v_index] is null and v_refused then
        v_outcomes[v_index] := 'withheld';
      elsif v_outcomes[v_index] is null then
        v_count := v_count + 1;
        v_outcomes[v_index] := 'allocated';
        v_held[v_index] := v_taken[v_count];
      end if;
    end loop;
  end if;
  return query
  select x.*
  from ipam.answers_for(
    v_outcomes, allocate_many.vrf, pools, array_fill(allocate_many.request_id, array[cardinality(slots)]), slots,
    v_held, v_details
  ) x;
end
$function$;
