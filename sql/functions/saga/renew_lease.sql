-- Renews the lease of a worker on everything that it has claimed. The first call registers the worker.
--
-- label: where it runs, for people. names, versions: as in ipam.claim_sagas. lease_seconds: 1 to 3600.
-- Returns nothing: a worker measures its lease from before this call, by its own clock.
-- Cost: one update in place. Workers whose lease expired more than an hour ago are removed.
create or replace function ipam.renew_lease(
  worker_id uuid, label text, names text[], versions int[], lease_seconds double precision
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  perform ipam.check_isolation();
  if (lease_seconds between 1 and 3600) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'lease_seconds: must be 1 to 3600';
  end if;
  insert into ipam.saga_worker as w (worker_id, label, names, versions, started_at, renewed_at, lease_until)
  values (
    renew_lease.worker_id, renew_lease.label, renew_lease.names, renew_lease.versions, v_now, v_now,
    v_now + make_interval(secs => lease_seconds)
  )
  on conflict (worker_id) do update
    set
      names = excluded.names, versions = excluded.versions, renewed_at = excluded.renewed_at,
      lease_until = excluded.lease_until;
  delete from ipam.saga_worker w
  where w.lease_until < v_now - interval '1 hour'
    and not exists (select from ipam.saga_run r where r.worker_id = w.worker_id);
end
$function$;
