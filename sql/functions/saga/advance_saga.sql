-- The write at the boundary between two steps: records how steps have settled, and begins the next one.
--
-- epoch: that of the claim. settled: as for ipam.settle_steps. next: the step that begins; null for none. next_undo:
-- whether it has an undo. next_seconds: for a sleep, how long it waits at most. Nothing begins once the operation is no
-- longer pending.
-- Returns `recorded` with the step as it stands; if it had settled before, its stored result counts. `lease_lost`, and
-- nothing was written, if the worker no longer has the saga.
-- Repeatable: until the next claim.
-- Cost: one commit for each step of a saga.
create or replace function ipam.advance_saga(
  operation_id uuid, epoch int, settled jsonb, next text default null, next_undo boolean default false,
  next_seconds double precision default null
) returns ipam.saga_write
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_run ipam.saga_run;
begin
  perform ipam.check_isolation();
  v_run := ipam.lock_run(advance_saga.operation_id, advance_saga.epoch);
  if v_run.operation_id is not null then
    v_run := ipam.settle_steps(v_run, advance_saga.settled);
    insert into ipam.saga_step (operation_id, vrf, name, ordinal, state, undo, fence, begun_at, until)
    select
      v_run.operation_id, v_run.vrf, advance_saga.next,
      (select coalesce(max(s.ordinal), 0) + 1 from ipam.saga_step s where s.operation_id = v_run.operation_id),
      'begun', advance_saga.next_undo, v_run.fence, clock_timestamp(),
      clock_timestamp() + make_interval(secs => advance_saga.next_seconds)
    from ipam.operation o
    where o.operation_id = v_run.operation_id and o.state = 'pending' and advance_saga.next is not null
    on conflict (operation_id, name) do nothing;
  end if;
  return ipam.saga_write_for(v_run, advance_saga.next);
end
$function$;
