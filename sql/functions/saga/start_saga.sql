-- Starts a saga: its operation, its targets and its run, in one statement. From then on it can be seen, gated on,
-- cancelled and claimed, whether or not a worker runs.
--
-- version: that of the saga's definition. exclusive: refused with `target_busy` while another operation is pending on
-- one of its targets. takes_turn: waits instead for the operations that began earlier. worker_id: a worker with room
-- for it, to which it is leased at once; null: whichever claims it first. The other parameters are those of
-- ipam.begin_operation; a payload is at most 1 MiB.
-- Returns as ipam.begin_operation does; the detail of `begun` tells whether the worker has it ({"claimed"}).
-- Repeatable: forever, with the same arguments.
create or replace function ipam.start_saga(
  operation_id uuid, vrf text, kind text, version int, payload jsonb, target_vrfs text[], target_kinds text[],
  target_ids text[], exclusive boolean default false, takes_turn boolean default false, worker_id uuid default null
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_answer ipam.operation_answer;
  v_worker uuid;
begin
  perform ipam.check_isolation();
  if octet_length(start_saga.payload::text) > 1048576 then
    raise exception using errcode = 'invalid_parameter_value', message = 'payload: must be at most 1 MiB of JSON';
  end if;
  v_answer := ipam.begin_operation(
    start_saga.operation_id, start_saga.vrf, start_saga.kind, start_saga.payload, target_vrfs, target_kinds, target_ids,
    exclusive => start_saga.exclusive
  );
  if v_answer.outcome = 'begun' then
    select w.worker_id into v_worker
    from ipam.saga_worker w
    where w.worker_id = start_saga.worker_id and w.lease_until > clock_timestamp() and not start_saga.takes_turn;
    insert into ipam.saga_run (operation_id, vrf, name, version, worker_id, epoch, fence, due_at, takes_turn)
    values (
      start_saga.operation_id, start_saga.vrf, start_saga.kind, start_saga.version, v_worker,
      case when v_worker is null then 0 else 1 end, case when v_worker is null then 0 else 1 end, clock_timestamp(),
      start_saga.takes_turn
    );
    v_answer.detail := jsonb_build_object('claimed', v_worker is not null);
  end if;
  return v_answer;
end
$function$;
