-- What a write of a worker returns: that it was recorded, and what the worker has to know to continue.
--
-- step: the one that was to begin; null: none.
create or replace function ipam.saga_write_for(run ipam.saga_run, step text default null) returns ipam.saga_write
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_state text;
  v_step ipam.saga_step;
begin
  if run.operation_id is null then
    return row('lease_lost', null, null, null, null, null, null, null)::ipam.saga_write;
  end if;
  select o.state into strict v_state from ipam.operation o where o.operation_id = run.operation_id;
  if step is not null then
    select s.* into v_step from ipam.saga_step s where s.operation_id = run.operation_id and s.name = saga_write_for.step;
  end if;
  return row(
    'recorded', run.fence, run.woken, v_state, v_step.state, v_step.result, v_step.error,
    extract(epoch from v_step.until - clock_timestamp())
  )::ipam.saga_write;
end
$function$;
