-- Records that the allocations of a step were refused, before the body of the saga learns of it, and permanently fences
-- the keys: a call of an earlier attempt that arrives late holds nothing.
--
-- epoch, settled: as in ipam.advance_saga. name: the step. error: the refusal. slot_vrf, slots: the keys that it asked
-- for.
-- Returns and repeatable: as ipam.advance_saga.
create or replace function ipam.refuse_step(
  operation_id uuid, epoch int, settled jsonb, name text, error jsonb, slot_vrf text, slots text[]
) returns ipam.saga_write
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_run ipam.saga_run;
begin
  perform ipam.check_isolation();
  v_run := ipam.lock_run(refuse_step.operation_id, refuse_step.epoch);
  if v_run.operation_id is not null then
    v_run := ipam.settle_steps(v_run, refuse_step.settled);
    insert into ipam.saga_step as s (operation_id, vrf, name, ordinal, state, undo, fence, begun_at, settled_at, error)
    values (
      v_run.operation_id, v_run.vrf, refuse_step.name,
      (select coalesce(max(k.ordinal), 0) + 1 from ipam.saga_step k where k.operation_id = v_run.operation_id),
      'failed', false, v_run.fence, clock_timestamp(), clock_timestamp(), refuse_step.error
    )
    on conflict (operation_id, name) do update
      set state = 'failed', settled_at = excluded.settled_at, until = null, error = excluded.error
      where s.state = 'begun';
    perform from ipam.release_many(refuse_step.slot_vrf, refuse_step.operation_id, refuse_step.slots);
  end if;
  return ipam.saga_write_for(v_run, refuse_step.name);
end
$function$;
