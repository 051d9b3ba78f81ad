-- Locks the run of an operation until the end of the transaction. Every write of a worker begins here, so that a worker
-- that has lost its lease writes nothing.
--
-- Returns the run; null if the epoch is not that of its last claim, or if the saga has ended.
create or replace function ipam.lock_run(operation_id uuid, epoch int) returns ipam.saga_run
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_run ipam.saga_run;
begin
  select r.* into v_run
  from ipam.saga_run r
  where r.operation_id = lock_run.operation_id and r.epoch = lock_run.epoch
  for update;
  return v_run;
end
$function$;
