-- Releases a key: the compensation of an allocation. Frees its unit if it holds one, and leaves a tombstone either way,
-- which permanently fences the key: an allocation with this key that comes later, or is still in flight, holds nothing.
--
-- Returns `released` (freed: whether a unit became free) or `already_released`.
-- Repeatable: forever; both outcomes are successes.
-- Safe: it is an upsert on the key, so it waits for an allocation of that key that has not committed, and releases the
-- row that it left. It succeeds whatever has become of the pool, the range or the counters of the unit
-- (ipam.free_units).
-- Cost: one extent inserted and one counter updated, independent of the size of the pool.
create or replace function ipam.release(vrf text, request_id uuid, slot text default 'default') returns ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_offset smallint := ipam.session_offset();
  v_released record;
  v_known ipam.allocation;
begin
  perform ipam.check_request(release.vrf, release.request_id, array[release.slot]);

  with released as (
    insert into ipam.allocation as a (vrf, request_id, slot, released_at, release_reason)
    values (release.vrf, release.request_id, release.slot, v_now, 'released')
    on conflict (vrf, request_id, slot) do update
      set released_at = v_now, release_reason = 'released'
      where a.released_at is null
    returning a
  ),

  -- Where its unit goes back to. What this snapshot does not show, be it gone or made by whom this call waited for, is left to
  -- ipam.free_units.
  home as materialized (
    select p.cooldown
    from released
      join ipam.pool p on p.vrf = release.vrf and p.pool_id = (released.a).pool_id
      join ipam.range r
        on r.vrf = release.vrf and r.range_id = (released.a).range_id and r.pool_id = p.pool_id
        and (released.a).unit between r.first and r.last
  ),

  -- Its unit alone, as an extent: free at once, free after the cooldown, or reserved again.
  freed_extent as (
    insert into ipam.free_extent (
      vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id, draining, cooling_until
    )
    select
      release.vrf, (released.a).pool_id, (released.a).range_id,
      ipam.available_after((released.a).reserved, home.cooldown, v_now),
      (released.a).unit, (released.a).unit, (released.a).generation, (released.a).owner_kind, (released.a).owner_id,
      (released.a).draining, ipam.cooling_until((released.a).reserved, home.cooldown, v_now)
    from released cross join home
    on conflict (vrf, pool_id, last) do nothing
  ),

  -- In the session's own counter shard, unless another transaction has it.
  counted as (
    update ipam.pool_counter c
    set held = c.held - 1, reserved = c.reserved + (select (released.a).reserved::int from released)
    where c.vrf = release.vrf and c.pool_id = (select (released.a).pool_id from released cross join home) and c.shard = v_offset
      and ipam.claim_shard(c.pool_id, c.shard)
    returning true as done
  )

  select released.a, exists (select from home) as freed, exists (select from counted) as counted into v_released from released;

  v_known := v_released.a;
  if v_known.unit is not null and not v_released.freed then
    perform ipam.free_units(release.vrf, array[v_known], v_now);
  elsif v_known.unit is not null and not v_released.counted then
    perform ipam.count_units(release.vrf, v_known.pool_id, -1, v_known.reserved::int);
  end if;
  if v_known.released_at is not null then
    return ipam.answer_for('released', release.vrf, null, release.request_id, release.slot, v_known, ipam.tombstone(v_known), v_known.unit is not null);
  end if;
  select a.* into v_known
  from ipam.allocation a
  where a.vrf = release.vrf and a.request_id = release.request_id and a.slot = release.slot;
  return ipam.answer_for('already_released', release.vrf, null, release.request_id, release.slot, v_known, ipam.tombstone(v_known), false);
end
$function$;
