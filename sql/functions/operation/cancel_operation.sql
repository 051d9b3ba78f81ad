-- Cancels an operation. It only writes the decision, so that no cancel is lost whether or not a worker has the saga; it
-- undoes nothing itself.
--
-- vrf: the home VRF of the operation. kind, error: recorded for an operation that was never begun: what it would have
-- been, and why it is unwound.
-- Returns `cancelled` if it was pending and unwinds from now on, or if it was never begun and is recorded as unwound,
-- so that a late beginning learns that end; `replayed` if it was unwinding already; `operation_ended` with the state in
-- which it ended, and nothing was done; `not_found` with the VRFs that have it; `key_expired` for a UUIDv7 older than
-- the horizon.
-- Repeatable: forever.
-- Safe: the insert waits for a concurrent beginning of the same id, and then finds it to lock.
create or replace function ipam.cancel_operation(
  operation_id uuid, vrf text default 'default', kind text default null, error jsonb default null
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_known ipam.operation;
  v_count int;
begin
  v_known := ipam.lock_operation(cancel_operation.operation_id, cancel_operation.vrf);
  if v_known.operation_id is null then
    v_now := clock_timestamp();
    if ipam.key_expired(cancel_operation.operation_id, v_now) then
      return ipam.operation_answer_for('key_expired', null);
    end if;
    -- No fingerprint, since the arguments of a later beginning are unknown.
    insert into ipam.operation (
      operation_id, vrf, kind, fingerprint, state, error, begun_at, unwinding_at, finished_at, cancelled_at
    )
    values (
      cancel_operation.operation_id, cancel_operation.vrf, coalesce(cancel_operation.kind, 'unknown'), '', 'unwound',
      coalesce(cancel_operation.error, 'null'), v_now, v_now, v_now, v_now
    )
    -- Without an arbiter, as in ipam.begin_operation.
    on conflict do nothing;
    get diagnostics v_count = row_count;
    v_known := ipam.lock_operation(cancel_operation.operation_id, cancel_operation.vrf);
    if v_count = 1 then
      return ipam.operation_answer_for('cancelled', v_known);
    end if;
  end if;

  if v_known.pending is not true then
    return ipam.operation_refusal(cancel_operation.operation_id, v_known);
  elsif v_known.state = 'unwinding' then
    return ipam.operation_answer_for('replayed', v_known);
  end if;
  update ipam.operation o
  set state = 'unwinding', unwinding_at = clock_timestamp(), cancelled_at = clock_timestamp()
  where o.operation_id = cancel_operation.operation_id
  returning o.* into strict v_known;
  perform ipam.wake_run(cancel_operation.operation_id);
  return ipam.operation_answer_for('cancelled', v_known);
end
$function$;
