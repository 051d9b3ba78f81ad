-- Makes the run of an operation due, wherever it is: sleeping, stuck, queued, or with a worker, which learns of it.
-- Does nothing for an operation of another engine.
--
-- Safe: the caller has locked the operation. A run that is parked at the same moment either waits for this or sees it.
create or replace function ipam.wake_run(operation_id uuid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  update ipam.saga_run r
  set woken = true, due_at = least(r.due_at, clock_timestamp())
  where r.operation_id = wake_run.operation_id;
end
$function$;
