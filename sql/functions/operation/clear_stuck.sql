-- Removes the mark of ipam.mark_stuck: the operation has continued.
--
-- vrf: the home VRF of the operation.
-- Returns `cleared`, also where there was no mark; `operation_ended` or `not_found`.
-- Repeatable: forever.
create or replace function ipam.clear_stuck(operation_id uuid, vrf text default 'default') returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
begin
  v_known := ipam.lock_operation(clear_stuck.operation_id, clear_stuck.vrf);
  if v_known.pending is not true then
    return ipam.operation_refusal(clear_stuck.operation_id, v_known);
  end if;
  -- An operation without a mark and without an expiry is not written.
  if v_known.stuck_since is not null or v_known.expires_in is not null then
    update ipam.operation o
    set stuck_since = null, stuck_step = null, stuck_error = null, expires_at = clock_timestamp() + o.expires_in
    where o.operation_id = clear_stuck.operation_id
    returning o.* into strict v_known;
  end if;
  return ipam.operation_answer_for('cleared', v_known);
end
$function$;
