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
  v_home record;
  v_known ipam.allocation;
  v_released boolean;
begin
  -- The checks of ipam.check_request in one expression, for the usual call. That function raises or corrects the rest.
  if (
    ipam.may_decide() and char_length(release.vrf) between 1 and 200
    and ipam.request_fits(release.request_id, release.slot, null, null, null)
  ) is not true then
    perform ipam.check_request(release.vrf, release.request_id, array[release.slot]);
  end if;

  with released as (
    insert into ipam.allocation as a (vrf, request_id, slot, released_at, release_reason)
    values (release.vrf, release.request_id, release.slot, v_now, 'released')
    on conflict (vrf, request_id, slot) do update
      set released_at = v_now, release_reason = 'released'
      where a.released_at is null
    returning
      a.pool_id, a.range_id, a.unit, a.generation, a.reserved, a.draining, a.owner_kind, a.owner_id, a.allocated_at,
      a.expires_at
  ),

  -- Where its unit returns to. LIMIT 1 makes each lookup use the whole primary key: by plain joins, a plan made on
  -- small tables read every pool of the VRF. What this snapshot does not show, because it is gone or because the
  -- transaction waited for created it, is left to ipam.free_units.
  home as materialized (
    select released.*, p.name, p.cooldown, r.prefix_length, r.gateway
    from released
      join lateral (
        select p.name, p.cooldown from ipam.pool p where p.vrf = release.vrf and p.pool_id = released.pool_id limit 1
      ) p on true
      join lateral (
        select r.pool_id, r.first, r.last, r.prefix_length, r.gateway
        from ipam.range r
        where r.vrf = release.vrf and r.range_id = released.range_id
        limit 1
      ) r on r.pool_id = released.pool_id and released.unit between r.first and r.last
  ),

  -- Its unit alone, as an extent: free at once, free after the cooldown, or reserved again.
  freed_extent as (
    insert into ipam.free_extent (
      vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id, draining,
      cooling_until
    )
    select
      release.vrf, h.pool_id, h.range_id, ipam.available_after(h.reserved, h.cooldown, v_now), h.unit, h.unit,
      h.generation, h.owner_kind, h.owner_id, h.draining, ipam.cooling_until(h.reserved, h.cooldown, v_now)
    from home h
    on conflict (vrf, pool_id, last) do nothing
  ),

  -- Counted in the session's own counter shard. If another transaction has it, ipam.count_units finds another one.
  counted as (
    update ipam.pool_counter c
    set held = c.held - 1, reserved = c.reserved + (select h.reserved::int from home h)
    where c.vrf = release.vrf and c.pool_id = (select h.pool_id from home h) and c.shard = v_offset
      and ipam.claim_shard(c.pool_id, c.shard)
    returning true as done
  )

  select exists (select from counted) as counted, h.* into v_home
  from released left join home h on true;
  v_released := found;

  -- The answer, with the tombstone as ipam.tombstone describes it.
  if v_home.unit is not null then
    if not v_home.counted then
      perform ipam.count_units(release.vrf, v_home.pool_id, -1, v_home.reserved::int);
    end if;
    return row(
      'released', release.vrf, v_home.name, release.request_id, release.slot, v_home.unit, v_home.prefix_length,
      v_home.gateway, v_home.generation, 'released', v_home.expires_at, v_home.owner_kind, v_home.owner_id, true,
      jsonb_build_object('reason', 'released', 'releasedAt', v_now), v_home.allocated_at
    )::ipam.answer;
  end if;

  select a.* into strict v_known
  from ipam.allocation a
  where a.vrf = release.vrf and a.request_id = release.request_id and a.slot = release.slot;
  if v_released and v_known.unit is not null then
    perform ipam.free_units(release.vrf, array[v_known], v_now);
  end if;
  return ipam.answer_for(
    case when v_released then 'released' else 'already_released' end, release.vrf, null, release.request_id,
    release.slot, v_known, ipam.tombstone(v_known), v_released and v_known.unit is not null
  );
end
$function$;
