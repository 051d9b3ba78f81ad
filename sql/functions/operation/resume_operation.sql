-- Records the request that an operation continue where it stopped. The mark of being stuck stays until it has
-- continued.
--
-- vrf: the home VRF of the operation.
-- Returns `resumed`; `not_stuck` if it was not marked as stuck, so that as far as the ledger knows it continues by
-- itself; `operation_ended` with the state in which it ended, and nothing was done; `not_found` with the VRFs that have
-- it.
-- Repeatable: forever.
create or replace function ipam.resume_operation(
  operation_id uuid, vrf text default 'default'
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
begin
  v_known := ipam.lock_operation(resume_operation.operation_id, resume_operation.vrf);
  if v_known.pending is not true then
    return ipam.operation_refusal(resume_operation.operation_id, v_known);
  end if;
  update ipam.operation o
  set resumed_at = clock_timestamp()
  where o.operation_id = resume_operation.operation_id
  returning o.* into strict v_known;
  perform ipam.wake_run(resume_operation.operation_id);
  return ipam.operation_answer_for(case when v_known.stuck_since is null then 'not_stuck' else 'resumed' end, v_known);
end
$function$;
