-- Decides that an operation unwinds: from now on it can only end as unwound. It still is pending to every gate.
--
-- Comes back: `unwinding`, `replayed` when it did already, `operation_ended` when it had ended, either way, `not_found`.
-- Repeatable: for ever.
create or replace function ipam.unwind_operation(operation_id uuid) returns ipam.operation_answer
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
  v_known := ipam.lock_operation(unwind_operation.operation_id);
  if v_known.state is distinct from 'pending' then
    return ipam.operation_answer_for(
      case v_known.state when 'unwinding' then 'replayed' when 'unwound' then 'operation_ended' when 'succeeded' then 'operation_ended' else 'not_found' end,
      v_known
    );
  end if;
  update ipam.operation o
  set state = 'unwinding', unwinding_at = clock_timestamp()
  where o.operation_id = unwind_operation.operation_id
  returning o.* into strict v_known;
  return ipam.operation_answer_for('unwinding', v_known);
end
$function$;
