-- The run of an operation, locked until the end of the transaction; null where the epoch is no longer that of its last claim, or
-- the saga has ended. Every write of a worker begins here, so that one that has lost its lease writes nothing.
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
