-- Ends a saga: its operation together with its addresses, and its run.
--
-- epoch, settled: as in ipam.advance_saga. state, result, error: as in ipam.finish_operation. Results are at most 1
-- MiB.
-- Returns as ipam.finish_operation does, or `lease_lost`.
-- Raises data_corrupted (XX001) if it is to end as unwound while a step with an undo is not undone.
-- Repeatable: forever; once the saga has ended, the operation answers.
create or replace function ipam.finish_saga(
  operation_id uuid, vrf text, epoch int, settled jsonb, state text, result jsonb default null, error jsonb default null
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
  v_run ipam.saga_run;
  v_left text;
begin
  perform ipam.check_isolation();
  v_known := ipam.lock_operation(finish_saga.operation_id, finish_saga.vrf);
  if v_known.pending then
    v_run := ipam.lock_run(finish_saga.operation_id, finish_saga.epoch);
    if v_run.operation_id is null then
      return ipam.operation_answer_for('lease_lost', v_known);
    end if;
    v_run := ipam.settle_steps(v_run, finish_saga.settled);
    select string_agg(s.name, ', ' order by s.ordinal) into v_left
    from ipam.saga_step s
    where s.operation_id = finish_saga.operation_id and s.undo and s.state <> 'undone';
    if finish_saga.state = 'unwound' and v_left is not null then
      raise exception using errcode = 'data_corrupted', message = 'not undone: ' || v_left;
    end if;
  end if;
  return ipam.finish_operation(
    finish_saga.operation_id, finish_saga.state, finish_saga.result, finish_saga.error, finish_saga.vrf,
    finish_saga.epoch
  );
end
$function$;
