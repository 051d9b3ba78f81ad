-- Hands back everything that a worker has claimed, so that another one can claim it at once, and ends its lease.
--
-- Safe: what is started for the worker at the same moment has a worker whose lease has ended, and is due.
-- Repeatable: forever.
create or replace function ipam.retire_worker(worker_id uuid) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_isolation();
  update ipam.saga_run r set worker_id = null, due_at = clock_timestamp() where r.worker_id = retire_worker.worker_id;
  update ipam.saga_worker w set lease_until = clock_timestamp() where w.worker_id = retire_worker.worker_id;
end
$function$;
