-- A run as its worker has to know it: the operation, and every step recorded so far. Called in a statement of its own after the run was
-- locked, so that it reads what every earlier holder of the lease has committed.
--
-- outcome: how the worker came by it: `claimed`, or `unwinding`. must_wait: the saga takes its turn, and an operation that began earlier
-- on one of its targets has not ended.
create or replace function ipam.claimed_saga_for(outcome text, run ipam.saga_run) returns ipam.claimed_saga
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
  v_steps jsonb;
begin
  select o.* into strict v_known from ipam.operation o where o.operation_id = run.operation_id;
  select
    coalesce(
      jsonb_agg(
        jsonb_build_object(
          'name', s.name, 'state', s.state, 'undo', s.undo, 'settled', s.settled_at is not null, 'result', s.result, 'error', s.error,
          'secondsLeft', extract(epoch from s.until - clock_timestamp())
        ) order by s.ordinal
      ),
      '[]'
    )
  into v_steps
  from ipam.saga_step s
  where s.operation_id = run.operation_id;
  return row(
    claimed_saga_for.outcome, run.operation_id, run.vrf, run.name, run.version, run.epoch, run.fence, v_known.state, v_known.payload,
    run.failure, v_known.stuck_step, v_steps,
    exists (select from ipam.allocation a where a.request_id = run.operation_id and a.unit is not null),
    run.takes_turn and exists (
      select
      from ipam.operation_target own
        join ipam.operation_target t on t.kind = own.kind and t.id = own.id and t.vrf = own.vrf and t.pending
      where own.operation_id = run.operation_id and t.sequence < own.sequence
    )
  )::ipam.claimed_saga;
end
$function$;
