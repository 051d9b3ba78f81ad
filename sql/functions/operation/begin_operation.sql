-- Begins an operation: records it together with everything that it works on, in one statement.
--
-- operation_id: chosen before the first attempt; it is the request id of every key allocated under the operation. vrf:
-- the home VRF. kind: the name of the saga. payload: its input.
-- target_vrfs, target_kinds, target_ids: of equal length, 1 to 256; a target named twice counts once.
-- execution_id: the name of this execution in another engine.
-- exclusive: begins only if no other operation is pending on any of the targets; later operations that are not
-- exclusive may still begin.
-- expires_in_seconds: for engines that may die: how long after the last call under it (allocate, confirm, extend, and
-- calls on the operation itself) ipam.reclaim_expired unwinds the operation; null: never.
-- A replay is compared by all arguments but execution_id, exclusive and expires_in_seconds.
-- Returns `begun`; `replayed` with the current state: only `pending` may go forward, `unwinding` has to undo, and an
-- ended operation, also one cancelled before it began, tells its end; `operation_reused` with what differs;
-- `key_expired` for an id that is a UUIDv7 older than the horizon; `target_busy` with the pending operations (their
-- number and the first 20).
-- Repeatable: forever, with the same arguments.
-- Safe: takes the advisory lock of each target, in sorted order, before it writes, and keeps it until the end of the
-- transaction. A gate on a target takes the same lock, so either the gate sees this operation, or this operation begins
-- after what the gate allowed has committed. Of two exclusive operations on one target, the second one sees the first.
-- Cost: two indexed rows, and one for each target.
create or replace function ipam.begin_operation(
  operation_id uuid, vrf text, kind text, payload jsonb, target_vrfs text[], target_kinds text[], target_ids text[],
  execution_id text default null, exclusive boolean default false, expires_in_seconds double precision default null
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_expires_in interval;
  v_targets jsonb;
  v_fingerprint bytea;
  v_lock bigint;
  v_busy jsonb;
  v_known ipam.operation;
begin
  perform ipam.check_operation(
    begin_operation.operation_id, begin_operation.vrf, begin_operation.kind, target_vrfs, target_kinds, target_ids,
    expires_in_seconds
  );
  v_expires_in := make_interval(secs => expires_in_seconds);
  select jsonb_agg(distinct jsonb_build_object('vrf', t.vrf, 'kind', t.kind, 'id', t.id)) into v_targets
  from unnest(target_vrfs, target_kinds, target_ids) t (vrf, kind, id);
  -- What a replay must have in common, as a version byte and a hash: payloads as jsonb prints them, targets as a set.
  v_fingerprint := '\x01'::bytea || substr(
    sha256(convert_to(
      jsonb_build_array(begin_operation.vrf, begin_operation.kind, begin_operation.payload, v_targets)::text, 'UTF8'
    )), 1, 16
  );

  for v_lock in
    select distinct ipam.target_lock(t.kind, t.id) as key
    from unnest(target_kinds, target_ids) t (kind, id)
    order by key
  loop
    perform pg_advisory_xact_lock(v_lock);
  end loop;

  loop
    v_now := clock_timestamp();
    if begin_operation.exclusive then
      v_busy := ipam.busy_targets(begin_operation.operation_id, target_vrfs, target_kinds, target_ids);
    end if;

    with begun as (
      insert into ipam.operation (
        operation_id, vrf, kind, fingerprint, payload, execution_id, begun_at, expires_in, expires_at
      )
      select
        begin_operation.operation_id, begin_operation.vrf, begin_operation.kind, v_fingerprint, begin_operation.payload,
        begin_operation.execution_id, v_now, v_expires_in, v_now + v_expires_in
      where not ipam.key_expired(begin_operation.operation_id, v_now) and v_busy is null
      -- Both unique keys of the id: with only one of them as the arbiter, two inserts at once raise for the other.
      on conflict do nothing
      returning operation_id, sequence
    ),

    targeted as (
      insert into ipam.operation_target (operation_id, vrf, kind, id, sequence)
      select begun.operation_id, t ->> 'vrf', t ->> 'kind', t ->> 'id', begun.sequence
      from begun cross join jsonb_array_elements(v_targets) t
      returning operation_id
    )

    select begun.operation_id into v_known.operation_id from begun where exists (select from targeted);

    if v_known.operation_id is not null then
      select o.* into strict v_known from ipam.operation o where o.operation_id = begin_operation.operation_id;
      return ipam.operation_answer_for('begun', v_known);
    end if;
    perform ipam.extend_operation(begin_operation.operation_id);
    select o.* into v_known from ipam.operation o where o.operation_id = begin_operation.operation_id;
    exit when found;
    if ipam.key_expired(begin_operation.operation_id, v_now) then
      return ipam.operation_answer_for('key_expired', null);
    elsif v_busy is not null then
      return ipam.operation_answer_for('target_busy', null, v_busy);
    end if;
  end loop;

  -- An operation that was cancelled before it began has no fingerprint.
  if v_known.fingerprint = v_fingerprint or (v_known.fingerprint = '' and v_known.vrf = begin_operation.vrf) then
    return ipam.operation_answer_for('replayed', v_known);
  end if;
  return ipam.operation_answer_for('operation_reused', v_known, jsonb_build_object('differs', array_remove(array[
    case when v_known.vrf <> begin_operation.vrf then 'vrf' end,
    case when v_known.kind <> begin_operation.kind then 'kind' end,
    case when v_known.pruned_at is null and v_known.payload is distinct from begin_operation.payload then 'payload' end,
    case when v_known.pruned_at is null and ipam.operation_targets(v_known.operation_id) <> v_targets then 'targets' end
  ], null)));
end
$function$;
