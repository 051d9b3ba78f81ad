-- Unwinds the operations that have expired, the longest expired first, since their engine is assumed dead. Everything
-- that they hold, in all VRFs, becomes a tombstone with the reason `expired`; the caller, ipam.reclaim_expired, returns
-- the units to their pools.
--
-- max_operations: the largest number of operations to unwind. vrf: only operations whose home it is; null for all. at:
-- the time of the call.
-- Returns the allocations that they held; null if they held none.
-- Safe: the row of the operation decides between this call and a call under the operation. It waits for nobody: an
-- operation is left to the next call if another transaction has locked it, or one of its keys.
create or replace function ipam.reclaim_operations(
  max_operations int, vrf text, at timestamptz
) returns ipam.allocation[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_id uuid;
  v_ids uuid[] := '{}';
begin
  for v_id in
    select o.operation_id
    from ipam.operation o
    where o.expires_at <= reclaim_operations.at and o.pending
      and (reclaim_operations.vrf is null or o.vrf = reclaim_operations.vrf)
    order by o.expires_at
    limit max_operations
    for update skip locked
  loop
    begin
      perform from ipam.allocation a where a.request_id = v_id order by a.vrf, a.slot for update nowait;
      v_ids := v_ids || v_id;
    exception
      when lock_not_available then null;
    end;
  end loop;

  update ipam.operation o
  set
    state = 'unwound', unwinding_at = coalesce(o.unwinding_at, reclaim_operations.at),
    finished_at = reclaim_operations.at,
    error = jsonb_build_object('_tag', 'OperationExpired', 'expiresAt', o.expires_at),
    stuck_since = null, stuck_step = null, stuck_error = null
  where o.operation_id = any (v_ids);
  return ipam.release_requests(v_ids, 'expired', reclaim_operations.at);
end
$function$;
