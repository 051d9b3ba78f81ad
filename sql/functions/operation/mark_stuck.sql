-- Marks an operation as stuck, because it cannot continue by itself: at which step, with which error, and since when.
-- It stays pending.
--
-- vrf: the home VRF of the operation. step, error: null is stored as an empty text.
-- Returns `stuck`, `operation_ended` or `not_found`.
-- Repeatable: the same step keeps the time of its first mark and takes the latest error.
create or replace function ipam.mark_stuck(
  operation_id uuid, step text, error text, vrf text default 'default'
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
begin
  v_known := ipam.lock_operation(mark_stuck.operation_id, mark_stuck.vrf);
  if v_known.pending is not true then
    return ipam.operation_refusal(mark_stuck.operation_id, v_known);
  end if;
  update ipam.operation o
  set
    stuck_since = case when o.stuck_step = coalesce(mark_stuck.step, '') then o.stuck_since else clock_timestamp() end,
    stuck_step = coalesce(mark_stuck.step, ''), stuck_error = coalesce(mark_stuck.error, ''),
    expires_at = clock_timestamp() + o.expires_in
  where o.operation_id = mark_stuck.operation_id
  returning o.* into strict v_known;
  return ipam.operation_answer_for('stuck', v_known);
end
$function$;
