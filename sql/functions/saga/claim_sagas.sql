-- Claims sagas that are due for a worker, the longest due first, and tells it which of the sagas that it already has
-- were woken.
--
-- worker_id: a worker whose lease has expired claims nothing. names, versions: the sagas that it serves; a null version
-- serves any. max_runs: how many it has room for. known: the sagas that the worker has. What else it was given
-- more than 5 seconds ago is due at once: the answer to that start or claim was lost.
-- Returns `claimed` with everything recorded so far; `woken` for a run that the worker already has and that was
-- cancelled or resumed.
-- Safe: the lease is taken in one statement, and what was recorded is read in the next, after the runs are locked: a
-- write of the previous worker has either committed by then, or finds another epoch. Runs of workers whose lease has
-- expired are due at once.
-- Cost: two index probes for each name, and the few rows of workers.
create or replace function ipam.claim_sagas(
  worker_id uuid, names text[], versions int[], max_runs int, known uuid[] default null
) returns setof ipam.claimed_saga
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_name text;
  v_run ipam.saga_run;
  v_runs ipam.saga_run[] := '{}';
begin
  perform ipam.check_isolation();
  return query
  select
    'woken', r.operation_id, r.vrf::text, r.name::text, r.version, r.epoch, r.fence, o.state, null::jsonb, null::jsonb,
    null::text, null::jsonb, false, false
  from ipam.saga_run r
    join ipam.operation o on o.operation_id = r.operation_id
  where r.worker_id = claim_sagas.worker_id and r.woken;

  if max_runs > 0 and exists (
    select from ipam.saga_worker w where w.worker_id = claim_sagas.worker_id and w.lease_until > v_now
  ) then
    with lost as materialized (
      select r.operation_id
      from ipam.saga_worker w
        join ipam.saga_run r on r.worker_id = w.worker_id
      where w.lease_until <= v_now
      for update of r skip locked
    )

    update ipam.saga_run r
    set worker_id = null, due_at = v_now
    from lost
    where r.operation_id = lost.operation_id;

    with unknown as materialized (
      select r.operation_id
      from ipam.saga_run r
      where r.worker_id = claim_sagas.worker_id and r.operation_id <> all (claim_sagas.known)
        -- A start that this call has overtaken: its answer is under way.
        and r.due_at < v_now - interval '5 seconds'
      for update skip locked
    )

    update ipam.saga_run r
    set worker_id = null, due_at = v_now
    from unknown
    where r.operation_id = unknown.operation_id;

    -- In another order each time: no saga of many runs keeps those of another from being claimed.
    for v_name in select s.name from unnest(claim_sagas.names) s (name) group by s.name order by random() loop
      for v_run in
        with due as materialized (
          select r.operation_id
          from ipam.saga_run r
          where r.name = v_name and r.worker_id is null and r.due_at <= v_now
            and exists (
              select from unnest(claim_sagas.names, claim_sagas.versions) s (name, version)
              where s.name = r.name and coalesce(s.version = r.version, true)
            )
          order by r.due_at
          limit claim_sagas.max_runs - cardinality(v_runs)
          for update skip locked
        )

        update ipam.saga_run r
        set worker_id = claim_sagas.worker_id, epoch = r.epoch + 1, fence = r.fence + 1, woken = false
        from due
        where r.operation_id = due.operation_id
        returning r.*
      loop
        v_runs := v_runs || v_run;
      end loop;
    end loop;
    if cardinality(v_runs) > 0 then
      update ipam.saga_worker w set claimed_at = v_now where w.worker_id = claim_sagas.worker_id;
    end if;
    return query select x.* from unnest(v_runs) run cross join lateral ipam.claimed_saga_for('claimed', run) x;
  end if;
end
$function$;
