-- Releases the lease of a saga that waits: it sleeps, waits for a pool or for its turn, or is stuck.
--
-- epoch, settled: as in ipam.advance_saga. retry_seconds: due after that time at the latest; null: when the first of
-- its waiting steps has waited long enough. stuck_step, stuck_error: it cannot continue by itself, and is due only once
-- it is resumed or cancelled. A run that was woken meanwhile is due at once.
-- Returns as ipam.advance_saga does.
-- Repeatable: until the next claim.
create or replace function ipam.park_saga(
  operation_id uuid, vrf text, epoch int, settled jsonb, retry_seconds double precision default null,
  stuck_step text default null, stuck_error text default null
) returns ipam.saga_write
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_run ipam.saga_run;
begin
  perform ipam.check_isolation();
  perform ipam.lock_operation(park_saga.operation_id, park_saga.vrf);
  v_run := ipam.lock_run(park_saga.operation_id, park_saga.epoch);
  if v_run.operation_id is not null then
    v_run := ipam.settle_steps(v_run, park_saga.settled);
    if park_saga.stuck_step is not null then
      perform ipam.mark_stuck(park_saga.operation_id, park_saga.stuck_step, park_saga.stuck_error, park_saga.vrf);
    end if;
    update ipam.saga_run r
    set
      worker_id = null,
      due_at = case
        when r.woken then clock_timestamp()
        when park_saga.stuck_step is not null then 'infinity'
        else least(
          clock_timestamp() + make_interval(secs => park_saga.retry_seconds),
          coalesce(
            (select min(s.until) from ipam.saga_step s where s.operation_id = r.operation_id and s.state = 'begun'),
            'infinity'
          )
        )
      end
    where r.operation_id = park_saga.operation_id
    returning r.* into strict v_run;
  end if;
  return ipam.saga_write_for(v_run);
end
$function$;
