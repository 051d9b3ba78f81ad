-- A run as its worker needs to know it: the operation, and every step recorded so far.
--
-- outcome: how the worker got it: `claimed` or `unwinding`.
-- Returns, among other things, must_wait: the saga takes turns, and an operation that began earlier on one of its
-- targets has not ended.
-- Safe: called in a statement of its own after the run was locked, so it reads what every earlier holder of the lease
-- committed.
create or replace function ipam.claimed_saga_for(outcome text, run ipam.saga_run) returns ipam.claimed_saga
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
  v_answer ipam.claimed_saga;
begin
  select o.* into strict v_known from ipam.operation o where o.operation_id = run.operation_id;
  v_answer.outcome := claimed_saga_for.outcome;
  v_answer.operation_id := run.operation_id;
  v_answer.vrf := run.vrf;
  v_answer.name := run.name;
  v_answer.version := run.version;
  v_answer.epoch := run.epoch;
  v_answer.fence := run.fence;
  v_answer.state := v_known.state;
  v_answer.payload := v_known.payload;
  v_answer.failure := run.failure;
  v_answer.stuck_step := v_known.stuck_step;
  select coalesce(
    jsonb_agg(
      jsonb_build_object(
        'name', s.name, 'state', s.state, 'undo', s.undo, 'settled', s.settled_at is not null, 'result', s.result,
        'error', s.error, 'secondsLeft', extract(epoch from s.until - clock_timestamp())
      )
      order by s.ordinal
    ), '[]'
  )
  into v_answer.steps
  from ipam.saga_step s
  where s.operation_id = run.operation_id;
  v_answer.has_keys := exists (
    select from ipam.allocation a where a.request_id = run.operation_id and a.unit is not null
  );
  v_answer.must_wait := run.takes_turn and exists (
    select
    from ipam.operation_target own
      join ipam.operation_target t on t.kind = own.kind and t.id = own.id and t.vrf = own.vrf and t.pending
    where own.operation_id = run.operation_id and t.sequence < own.sequence
  );
  return v_answer;
end
$function$;
