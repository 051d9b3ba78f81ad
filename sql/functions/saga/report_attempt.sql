-- Records that an attempt at a step, or at its undo, has failed and will be repeated, so that a saga that only retries
-- is visible.
--
-- epoch: as in ipam.advance_saga. name: the step. error: a line of text.
-- Returns as ipam.advance_saga does. Each call counts.
create or replace function ipam.report_attempt(
  operation_id uuid, epoch int, name text, error text
) returns ipam.saga_write
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_run ipam.saga_run;
begin
  perform ipam.check_isolation();
  v_run := ipam.lock_run(report_attempt.operation_id, report_attempt.epoch);
  update ipam.saga_step s
  set
    attempts = s.attempts + 1, failing_since = coalesce(s.failing_since, clock_timestamp()),
    last_error = report_attempt.error
  where s.operation_id = v_run.operation_id and s.name = report_attempt.name;
  return ipam.saga_write_for(v_run, report_attempt.name);
end
$function$;
