-- Marks an operation as one that cannot go on by itself: at which step, since when, with which last error. It stays pending.
--
-- vrf: its home. Comes back: `stuck`, `operation_ended`, `not_found`. Repeatable: the error is the last one, the time that of the
-- first mark.
create or replace function ipam.mark_stuck(operation_id uuid, step text, error text, vrf text default 'default') returns ipam.operation_answer
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
  v_known := ipam.lock_operation(mark_stuck.operation_id, mark_stuck.vrf);
  if v_known.operation_id is null then
    return ipam.operation_not_found(mark_stuck.operation_id);
  elsif not v_known.pending then
    return ipam.operation_answer_for('operation_ended', v_known);
  end if;
  perform ipam.extend_operation(mark_stuck.operation_id);
  update ipam.operation o
  set
    stuck_since = case when o.stuck_step = coalesce(mark_stuck.step, '') then o.stuck_since else clock_timestamp() end,
    stuck_step = coalesce(mark_stuck.step, ''), stuck_error = coalesce(mark_stuck.error, '')
  where o.operation_id = mark_stuck.operation_id
  returning o.* into strict v_known;
  return ipam.operation_answer_for('stuck', v_known);
end
$function$;
