-- The answer to a write of a worker: that it was recorded, and what the worker needs to know to continue.
--
-- run: as ipam.lock_run returned it. step: the one that was to begin; null for none.
create or replace function ipam.saga_write_for(run ipam.saga_run, step text default null) returns ipam.saga_write
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_answer ipam.saga_write;
  v_step ipam.saga_step;
begin
  if run.operation_id is null then
    v_answer.outcome := 'lease_lost';
    return v_answer;
  end if;
  v_answer.outcome := 'recorded';
  v_answer.fence := run.fence;
  v_answer.woken := run.woken;
  select o.state into strict v_answer.state from ipam.operation o where o.operation_id = run.operation_id;
  if step is not null then
    select s.* into v_step
    from ipam.saga_step s
    where s.operation_id = run.operation_id and s.name = saga_write_for.step;
    v_answer.step_state := v_step.state;
    v_answer.result := v_step.result;
    v_answer.error := v_step.error;
    v_answer.seconds_left := extract(epoch from v_step.until - clock_timestamp());
  end if;
  return v_answer;
end
$function$;
