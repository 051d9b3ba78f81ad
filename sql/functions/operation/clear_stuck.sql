-- Takes the mark of ipam.mark_stuck away: the operation went on.
--
-- vrf: its home. Comes back: `cleared`, also when there was no mark; `operation_ended`, `not_found`. Repeatable: for ever.
create or replace function ipam.clear_stuck(operation_id uuid, vrf text default 'default') returns ipam.operation_answer
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
  v_known := ipam.lock_operation(clear_stuck.operation_id, clear_stuck.vrf);
  if v_known.operation_id is null then
    return ipam.operation_not_found(clear_stuck.operation_id);
  elsif not v_known.pending then
    return ipam.operation_answer_for('operation_ended', v_known);
  end if;
  perform ipam.extend_operation(clear_stuck.operation_id);
  if v_known.stuck_since is not null then
    update ipam.operation o
    set stuck_since = null, stuck_step = null, stuck_error = null
    where o.operation_id = clear_stuck.operation_id
    returning o.* into strict v_known;
  end if;
  return ipam.operation_answer_for('cleared', v_known);
end
$function$;
