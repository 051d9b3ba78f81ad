-- The findings of the doctor on operations. Each needs a person, since the ledger alone cannot know what an engine
-- still intends. Part of ipam.doctor.
--
-- Returns one row for each finding: the check, where, what is wrong, and what to do about it.
-- Cost: linear in the pending operations, and in the unwound ones with their keys.
create or replace function ipam.doctor_operations()
returns table (check_name text, vrf text, pool text, detail text, repair text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
  with pending as materialized (
    select o.*, format('%s %s', o.kind, o.operation_id) as called from ipam.operation o where o.pending
  )

  select
    'held by an unwound operation', a.vrf::text, p.name::text,
    format('%s, slot %s of operation %s', host(a.unit), a.slot, a.request_id),
    'release it by its key: an unwound operation must hold nothing'
  from ipam.operation o
    join ipam.allocation a on a.request_id = o.operation_id and a.released_at is null
    left join ipam.pool p on p.vrf = a.vrf and p.pool_id = a.pool_id
  where o.state = 'unwound'
  union all
  -- Reclaim skips them until their operation has ended.
  select
    'operation outlives the ttl of its addresses', o.vrf::text, null,
    format('%s holds %s past their ttl, the first since %s', o.called, held.count, held.since),
    'see that its engine ends it; if no engine will, cancel it and finish it as unwound'
  from pending o
    join lateral (
      select count(*) as count, min(a.expires_at) as since
      from ipam.allocation a
      where a.request_id = o.operation_id and a.released_at is null and a.confirmed_at is null
        and a.expires_at < clock_timestamp()
    ) held on held.count > 0
  union all
  select
    'operation past its expiry', o.vrf::text, null,
    format('%s should have been reclaimed at %s', o.called, o.expires_at),
    'run saga-ipam reclaim, as a worker does by itself: it unwinds the operation and releases what it holds'
  from pending o
  where o.expires_at < clock_timestamp() - interval '5 minutes'
  union all
  select
    'operation stuck', o.vrf::text, null,
    format('%s in step %s since %s: %s', o.called, o.stuck_step, o.stuck_since, o.stuck_error),
    'resume it once the cause is repaired, or cancel it'
  from pending o
  where o.stuck_since < clock_timestamp() - interval '1 hour'
  union all
  -- A live worker that serves a saga claims it within a second while it has room.
  select
    'saga that nobody claims', o.vrf::text, null,
    format(
      '%s, version %s, is due since %s; %s', o.called, r.version, r.due_at,
      case
        when exists (
          select
          from ipam.saga_worker w
            cross join lateral unnest(w.names, w.versions) s (name, version)
          where w.lease_until > clock_timestamp() and s.name = r.name and coalesce(s.version = r.version, true)
        ) then 'the workers that serve it have no room'
        else 'no worker serves it'
      end
    ),
    'start a worker of this saga and version, or cancel it'
  from pending o
    join ipam.saga_run r on r.operation_id = o.operation_id
  where r.due_at < clock_timestamp() - interval '1 minute'
    and not exists (
      select
      from ipam.saga_worker w
      where w.worker_id = r.worker_id and w.lease_until > clock_timestamp()
    )
  union all
  select
    'operation that nobody ends', o.vrf::text, null, format('%s has been %s since %s', o.called, o.state, o.begun_at),
    'see that its engine ends it, or cancel it: until then prune refuses to forget anything younger'
  from pending o cross join ipam.retention r
  where o.expires_at is null and o.stuck_since is null and o.begun_at < clock_timestamp() - r.horizon;
end;
