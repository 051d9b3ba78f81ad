-- Decides that a saga unwinds, before anything is undone: from then on nothing is allocated under it, no step begins,
-- and it can only end as unwound. Every step with an undo that is not undone yet becomes `undoing`, under a greater
-- fence.
--
-- epoch, settled: as in ipam.advance_saga. failure: why; null if it was cancelled. The first decision counts: a saga
-- that unwinds already keeps its reason, and a cancelled one has none of its own.
-- Returns `unwinding` with every step, or `lease_lost`.
-- Repeatable: until the next claim.
create or replace function ipam.unwind_saga(
  operation_id uuid, vrf text, epoch int, settled jsonb, failure jsonb
) returns ipam.claimed_saga
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
  v_run ipam.saga_run;
  v_answer ipam.claimed_saga;
begin
  perform ipam.check_isolation();
  v_known := ipam.lock_operation(unwind_saga.operation_id, unwind_saga.vrf);
  v_run := ipam.lock_run(unwind_saga.operation_id, unwind_saga.epoch);
  if v_run.operation_id is null then
    v_answer.outcome := 'lease_lost';
    return v_answer;
  end if;
  v_run := ipam.settle_steps(v_run, unwind_saga.settled);
  if v_known.state = 'pending' then
    update ipam.operation o
    set state = 'unwinding', unwinding_at = clock_timestamp()
    where o.operation_id = unwind_saga.operation_id;
    update ipam.saga_run r
    set failure = unwind_saga.failure
    where r.operation_id = unwind_saga.operation_id
    returning r.* into strict v_run;
  end if;
  update ipam.saga_step s
  set state = 'undoing', fence = v_run.fence + 1, until = null
  where s.operation_id = unwind_saga.operation_id and s.undo and s.state in ('begun', 'done', 'failed');
  if found then
    update ipam.saga_run r
    set fence = r.fence + 1
    where r.operation_id = unwind_saga.operation_id
    returning r.* into strict v_run;
  end if;
  return ipam.claimed_saga_for('unwinding', v_run);
end
$function$;
