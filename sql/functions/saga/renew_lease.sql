-- Renews the lease of a worker on everything that it has claimed. The first call registers the worker.
--
-- label: where it runs, for people. names, versions: as in ipam.claim_sagas. lease_seconds: 1 to 3600.
-- Also removes workers whose lease expired more than an hour ago, and marks as stuck what is due under these names in a
-- version that no worker serves; such a saga continues by itself once a worker serves it.
-- Returns nothing: a worker measures its lease from before this call, by its own clock.
-- Cost: one update in place, and an index probe for what is due.
create or replace function ipam.renew_lease(
  worker_id uuid, label text, names text[], versions int[], lease_seconds double precision
) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_run record;
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

  for v_run in
    select r.operation_id, r.vrf, r.name, r.version
    from ipam.saga_run r
      join ipam.operation o on o.operation_id = r.operation_id
    where r.name = any (renew_lease.names) and r.worker_id is null and r.due_at <= v_now and o.stuck_since is null
      and not exists (
        select
        from ipam.saga_worker w
          cross join lateral unnest(w.names, w.versions) s (name, version)
        where w.lease_until > v_now and s.name = r.name and coalesce(s.version = r.version, true)
      )
    limit 100
  loop
    perform ipam.mark_stuck(
      v_run.operation_id, 'its version', format('no worker serves version %s of %s', v_run.version, v_run.name),
      v_run.vrf
    );
  end loop;
end
$function$;
