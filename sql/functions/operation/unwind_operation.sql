-- Decides that an operation unwinds: from now on it can only end as unwound, and nothing new is allocated under it.
-- Every gate still counts it as pending.
--
-- vrf: the home VRF of the operation.
-- Returns `unwinding`; `replayed` if it was unwinding already; `operation_ended` with the state in which it ended (if
-- that is `succeeded`, nothing may be undone); `not_found` with the VRFs that have it.
-- Repeatable: forever.
create or replace function ipam.unwind_operation(
  operation_id uuid, vrf text default 'default'
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
  v_outcome text;
begin
  v_known := ipam.lock_operation(unwind_operation.operation_id, unwind_operation.vrf);
  if v_known.pending is not true then
    return ipam.operation_refusal(unwind_operation.operation_id, v_known);
  end if;
  v_outcome := case v_known.state when 'pending' then 'unwinding' else 'replayed' end;
  update ipam.operation o
  set
    state = 'unwinding', unwinding_at = coalesce(o.unwinding_at, clock_timestamp()),
    expires_at = clock_timestamp() + o.expires_in
  where o.operation_id = unwind_operation.operation_id
  returning o.* into strict v_known;
  -- A saga of the log that sleeps learns of it as it learns of a cancel.
  perform ipam.wake_run(unwind_operation.operation_id);
  return ipam.operation_answer_for(v_outcome, v_known);
end
$function$;
