-- Records that an operation is told to go on where it stopped. The mark of being stuck stays until it has gone on.
--
-- vrf: its home. Comes back: `resumed`; `not_stuck`, when it was not marked as stuck, and goes on by itself as far as the ledger
-- knows; `operation_ended`: it has ended, in the state that comes back, and nothing was done; `not_found`, with the VRF that has it.
-- Repeatable: for ever.
create or replace function ipam.resume_operation(operation_id uuid, vrf text default 'default') returns ipam.operation_answer
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
  v_known := ipam.lock_operation(resume_operation.operation_id, resume_operation.vrf);
  if v_known.operation_id is null then
    return ipam.operation_not_found(resume_operation.operation_id);
  elsif not v_known.pending then
    return ipam.operation_answer_for('operation_ended', v_known);
  end if;
  update ipam.operation o
  set resumed_at = clock_timestamp()
  where o.operation_id = resume_operation.operation_id
  returning o.* into strict v_known;
  return ipam.operation_answer_for(case when v_known.stuck_since is null then 'not_stuck' else 'resumed' end, v_known);
end
$function$;
