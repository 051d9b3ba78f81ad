-- Resolves what one snapshot proves of each slot asked: a replay, a refusal with its evidence, or nothing (null: it may
-- be allocated, or the evidence is still in flight in another transaction). One statement, one snapshot, one clock
-- reading, no lock.
--
-- slots, pools, addresses: of equal length; a null address asks for any. at: the clock reading. The other parameters
-- are those of ipam.allocate.
-- The order of the `when`s is the precedence of the outcomes.
-- Exhaustion is proven: an allocation that has not committed still shows its extent, so a pool that shows fewer
-- available units than are asked of it did have fewer at that moment.
create or replace function ipam.resolve_outcomes(
  vrf text, request_id uuid, slots text[], pools text[], addresses inet[], owner_kind text, owner_id text,
  allow_reserved boolean, allow_cooling boolean, allow_draining boolean, at timestamptz
) returns table (
  ordinal int, outcome text, detail jsonb, held ipam.allocation, pool_id bigint, fingerprint bytea,
  available_at timestamptz
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  -- The request, the pool and the previous row of the key. Left joins, so that each slot asked gives one row.
  with request as materialized (
    select
      ipam.key_expired(resolve_outcomes.request_id, resolve_outcomes.at) as expired,
      (
        select o.state
        from ipam.operation o
        where o.operation_id = resolve_outcomes.request_id and o.state <> 'pending'
      ) as ended
  ),

  asked as materialized (
    select
      t.ordinal::int as ordinal, t.slot, t.pool, t.address, wanted.pool_id, previous.a as previous,
      coalesce(previous.known, false) as known,
      ipam.fingerprint(wanted.pool_id, t.address, resolve_outcomes.owner_kind, resolve_outcomes.owner_id) as fingerprint
    from unnest(resolve_outcomes.slots, resolve_outcomes.pools, resolve_outcomes.addresses)
      with ordinality t (slot, pool, address, ordinal)
      left join lateral ipam.find_pool(resolve_outcomes.vrf, t.pool) wanted on true
      left join lateral (
        select a, true as known
        from ipam.allocation a
        where a.vrf = resolve_outcomes.vrf and a.request_id = resolve_outcomes.request_id and a.slot = t.slot
        limit 1
      ) previous on true
  ),

  -- For an address asked for: the range, the live allocation and the extent that contain it.
  placed as materialized (
    select
      asked.*, range.range_id, holder.a as holder, extent.available_at, extent.extent_id, extent.draining,
      ipam.cooldown_end(extent.available_at, extent.cooling_until) as cooling_until,
      extent.last_owner_kind = resolve_outcomes.owner_kind
        and extent.last_owner_id = resolve_outcomes.owner_id as was_ours,
      first_value(asked.ordinal) over (
        partition by asked.pool_id, asked.address, asked.known order by asked.ordinal
      ) as first_to_ask
    from asked
      left join lateral (
        select r.range_id, r.last
        from ipam.range r
        where r.vrf = resolve_outcomes.vrf and r.pool_id = asked.pool_id and r.first <= asked.address
          and not asked.known
        order by r.first desc
        limit 1
      ) range on range.last >= asked.address
      left join lateral (
        select a
        from ipam.allocation a
        where a.vrf = resolve_outcomes.vrf and a.unit >= asked.address and a.unit <= asked.address
          and a.released_at is null and not asked.known
        order by a.unit
        limit 1
      ) holder on true
      left join lateral (
        select e.extent_id, e.next, e.available_at, e.draining, e.cooling_until, e.last_owner_kind, e.last_owner_id
        from ipam.free_extent e
        where e.vrf = resolve_outcomes.vrf and e.pool_id = asked.pool_id and e.last >= asked.address and not asked.known
        order by e.last
        limit 1
      ) extent on extent.next <= asked.address
  ),

  -- For each pool, how many available units the absent slots ask of it, and why it is exhausted if it shows fewer: no
  -- more extents are read than needed.
  demand as materialized (
    select
      d.pool_id,
      case
        when e.units < d.needed
          then ipam.exhaustion(resolve_outcomes.vrf, d.pool_id, resolve_outcomes.at, e.units::int)
      end as exhaustion
    from (
      select p.pool_id, count(*)::int as needed
      from placed p
      where not p.known and p.pool_id is not null and (p.address is null or p.available_at <= resolve_outcomes.at)
      group by p.pool_id
      having bool_or(p.address is null)
    ) d
      cross join lateral (
        select coalesce(sum(ipam.unit_count(f.next, f.last)), 0) as units
        from (
          select x.next, x.last
          from ipam.free_extent x
          where x.vrf = resolve_outcomes.vrf and x.pool_id = d.pool_id and not x.draining
            and x.available_at <= resolve_outcomes.at
          order by x.available_at, x.last
          limit d.needed
        ) f
      ) e
  ),

  judged as (
    select
      p.*, d.exhaustion, request.ended,
      case
        when (p.previous).released_at is not null then 'key_released'
        when p.known and (p.previous).fingerprint <> p.fingerprint then 'key_reused'
        when p.known then 'replayed'
        when request.expired then 'key_expired'
        when request.ended is not null then 'operation_ended'
        when p.pool_id is null then 'unknown_pool'
        when p.address is null then case when d.exhaustion is not null then 'exhausted' end
        when p.range_id is null then 'address_outside'
        when (p.holder).unit is not null and p.extent_id is not null then 'drifted'
        when (p.holder).unit is not null or p.first_to_ask <> p.ordinal then 'address_taken'
        when p.extent_id is null then 'drifted'
        when p.cooling_until > resolve_outcomes.at
          and resolve_outcomes.allow_cooling is not true and p.was_ours is not true
          then 'address_cooling'
        when p.available_at = 'infinity' and resolve_outcomes.allow_reserved is not true then 'address_reserved'
        when p.draining and resolve_outcomes.allow_draining is not true then 'address_draining'
      end as outcome
    from request cross join placed p left join demand d on d.pool_id = p.pool_id
  )

  select
    j.ordinal, j.outcome,
    case j.outcome
      when 'key_released' then ipam.tombstone(j.previous)
      when 'key_reused' then jsonb_build_object('differs', array_remove(array[
        case when (j.previous).pool_id is distinct from j.pool_id then 'pool' end,
        case
          when ((j.previous).owner_kind, (j.previous).owner_id)
            is distinct from (resolve_outcomes.owner_kind, resolve_outcomes.owner_id) then 'owner'
        end,
        -- Also if only one of the calls asked for an address.
        case
          when (j.previous).fingerprint <> ipam.fingerprint(
            (j.previous).pool_id, j.address, (j.previous).owner_kind, (j.previous).owner_id
          ) then 'address'
        end
      ], null))
      when 'operation_ended' then jsonb_build_object('status', j.ended)
      when 'unknown_pool' then jsonb_build_object('vrfs', ipam.vrfs_with_pool(j.pool))
      when 'address_taken' then jsonb_build_object(
        'heldBy', case
          when (j.holder).owner_kind is not null
            then jsonb_build_object('kind', (j.holder).owner_kind, 'id', (j.holder).owner_id)
        end
      )
      when 'address_cooling' then jsonb_build_object('until', j.cooling_until)
      when 'drifted' then jsonb_build_object('address', host(j.address))
      when 'exhausted' then j.exhaustion
    end,
    case when j.outcome = 'replayed' then j.previous end,
    j.pool_id, j.fingerprint, j.available_at
  from judged j
  order by j.ordinal;
end
$function$;
