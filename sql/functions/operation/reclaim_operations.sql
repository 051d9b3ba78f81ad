-- Unwinds the operations that have expired, the longest expired first, and turns everything that they hold, in all
-- VRFs, into tombstones with reason expired: their engine is assumed dead. For ipam.reclaim_expired, which returns the
-- units to their pools.
--
-- max_operations: the largest number of operations to unwind. vrf: only those whose home it is; null for all.
-- Returns what they held; null if that was nothing.
-- Safe: the row of the operation decides between this call and a call under the operation. It waits for nobody: an
-- operation that another transaction holds, or one of whose keys another one holds, is left to the next round.
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
