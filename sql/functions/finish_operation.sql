-- Ends an operation: state and result, or error, in one update. What has ended never changes again.
--
-- state: succeeded, with a result, or unwound, with the error that led there; a missing one is JSON null.
-- Comes back: `finished`; `replayed`, when it had ended in that state, with the result of then; `operation_ended`, when it had
-- ended in the other; `operation_unwinding`, when it was to succeed and unwinds; `not_found`.
-- Repeatable: for ever.
-- Safe: waits for allocates under it that have not committed, and those that come later see that it has ended.
create or replace function ipam.finish_operation(operation_id uuid, state text, result jsonb default null, error jsonb default null)
returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
set lock_timeout = '2s'
as $function$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_known ipam.operation;
  v_count int;
begin
  if (finish_operation.state in ('succeeded', 'unwound')) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'state: must be succeeded or unwound';
  end if;
  v_known := ipam.lock_operation(finish_operation.operation_id);
  if v_known.operation_id is null then
    return ipam.operation_answer_for('not_found', null);
  elsif not v_known.pending then
    return ipam.operation_answer_for(
      case when v_known.state = finish_operation.state then 'replayed' else 'operation_ended' end, v_known
    );
  elsif finish_operation.state = 'succeeded' and v_known.state = 'unwinding' then
    return ipam.operation_answer_for('operation_unwinding', v_known);
  end if;

  v_now := clock_timestamp();
  update ipam.operation o
  set
    state = finish_operation.state,
    result = case when finish_operation.state = 'succeeded' then coalesce(finish_operation.result, 'null') end,
    error = case when finish_operation.state = 'unwound' then coalesce(finish_operation.error, 'null') end,
    unwinding_at = case when finish_operation.state = 'unwound' then coalesce(o.unwinding_at, v_now) end,
    finished_at = v_now, stuck_since = null, stuck_step = null, stuck_error = null
  where o.operation_id = finish_operation.operation_id and o.pending;
  get diagnostics v_count = row_count;
  if v_count <> 1 then
    raise exception using errcode = 'data_corrupted', message = format('finishing an operation changed %s rows', v_count);
  end if;
  select o.* into strict v_known from ipam.operation o where o.operation_id = finish_operation.operation_id;
  return ipam.operation_answer_for('finished', v_known);
end
$function$;
