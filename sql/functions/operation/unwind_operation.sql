-- Decides that an operation unwinds: from now on it can only end as unwound, and nothing new is allocated under it. It still is
-- pending to every gate.
--
-- vrf: its home. Comes back: `unwinding`; `replayed` when it did already; `operation_ended` with the state in which it had ended:
-- where that is `succeeded`, nothing may be undone; `not_found`, with the VRF that has it.
-- Repeatable: for ever.
create or replace function ipam.unwind_operation(operation_id uuid, vrf text default 'default') returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
set lock_timeout = '2s'
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
begin
  v_known := ipam.lock_operation(unwind_operation.operation_id, unwind_operation.vrf);
  if v_known.operation_id is null then
    return ipam.operation_not_found(unwind_operation.operation_id);
  elsif not v_known.pending then
    return ipam.operation_answer_for('operation_ended', v_known);
  end if;
  perform ipam.extend_operation(unwind_operation.operation_id);
  update ipam.operation o
  set state = 'unwinding', unwinding_at = coalesce(o.unwinding_at, clock_timestamp())
  where o.operation_id = unwind_operation.operation_id;
  return ipam.operation_answer_for(
    case v_known.state when 'pending' then 'unwinding' else 'replayed' end, ipam.lock_operation(v_known.operation_id, v_known.vrf)
  );
end
$function$;
