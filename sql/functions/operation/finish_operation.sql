-- Ends an operation together with its addresses: state and result, or error, and the fate of every key of the
-- operation, in one commit. An ended operation never changes again.
--
-- state: `succeeded` confirms every provisional allocation, also past its ttl, and takes a result; `unwound` releases
-- everything that the operation still holds, confirmed or not, and takes the error that led to it. A missing result or
-- error is JSON null. vrf: the home VRF; its keys may be in any VRF.
-- Returns `finished`; `replayed` with the stored result if it had ended in that state; `operation_ended` if it had
-- ended in the other one; `operation_unwinding` if it was to succeed but unwinds; `not_found` with the VRFs that have
-- it; `allocations_lost` if it was to succeed but one of its slots had expired, was orphaned or was released by a
-- person (detail: their number and the first 20), and then nothing is written. A slot that was released by its key is
-- no loss: a saga may give back what it allocated.
-- Repeatable: forever.
-- Safe: waits for allocations under the operation that have not committed; later ones see that it has ended. It locks
-- the operation, then its keys in their order, and then reads them in a new statement: nobody else can change one of
-- them until the commit. Counters come last. If a caller's own transactions allocate and finish concurrently, they can
-- deadlock (40P01, to be repeated).
-- Cost: a row for each key of the operation.
create or replace function ipam.finish_operation(
  operation_id uuid, state text, result jsonb default null, error jsonb default null, vrf text default 'default',
  epoch int default null
) returns ipam.operation_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_known ipam.operation;
  v_run ipam.saga_run;
  v_provisional ipam.allocation[];
  v_lost ipam.allocation[];
  v_count int;
begin
  perform ipam.check_isolation();
  if (finish_operation.state in ('succeeded', 'unwound')) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'state: must be succeeded or unwound';
  end if;
  v_known := ipam.lock_operation(finish_operation.operation_id, finish_operation.vrf);
  if v_known.state = finish_operation.state then
    return ipam.operation_answer_for('replayed', v_known);
  elsif v_known.pending is not true then
    return ipam.operation_refusal(finish_operation.operation_id, v_known);
  elsif finish_operation.state = 'succeeded' and v_known.state = 'unwinding' then
    return ipam.operation_answer_for('operation_unwinding', v_known);
  end if;

  select r.* into v_run from ipam.saga_run r where r.operation_id = finish_operation.operation_id for update;
  if v_run.epoch <> coalesce(finish_operation.epoch, -1) then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'operation_id: a saga of the log, which ends it itself; cancel it instead';
  end if;

  perform from ipam.allocation a where a.request_id = finish_operation.operation_id order by a.vrf, a.slot for update;
  v_now := clock_timestamp();
  if finish_operation.state = 'unwound' then
    perform ipam.free_everywhere(ipam.release_requests(array[finish_operation.operation_id], 'released', v_now), v_now);
  else
    select
      array_agg(a order by a.vrf, a.slot) filter (where a.released_at is null and a.confirmed_at is null),
      array_agg(a order by a.vrf, a.slot) filter (
        where a.release_reason in ('expired', 'orphaned') or a.released_by is not null
      )
    into v_provisional, v_lost
    from ipam.allocation a
    where a.request_id = finish_operation.operation_id;
    if v_lost is not null then
      return ipam.operation_answer_for('allocations_lost', v_known, jsonb_build_object(
        'count', cardinality(v_lost),
        'lost', (
          select jsonb_agg(
            jsonb_build_object('vrf', l.vrf, 'slot', l.slot, 'address', host(l.unit)) || ipam.tombstone(l)
            order by l.vrf, l.slot
          )
          from unnest(v_lost[:20]) l
        )
      ));
    end if;
    update ipam.allocation a
    set confirmed_at = v_now, expires_at = null
    from unnest(v_provisional) p
    where a.request_id = p.request_id and a.vrf = p.vrf and a.slot = p.slot;
  end if;

  update ipam.operation o
  set
    state = finish_operation.state,
    result = case when finish_operation.state = 'succeeded' then coalesce(finish_operation.result, 'null') end,
    error = case when finish_operation.state = 'unwound' then coalesce(finish_operation.error, 'null') end,
    unwinding_at = case when finish_operation.state = 'unwound' then coalesce(o.unwinding_at, v_now) end,
    finished_at = v_now, stuck_since = null, stuck_step = null, stuck_error = null
  where o.operation_id = finish_operation.operation_id and o.pending;
  get diagnostics v_count = row_count;
  if v_count <> 1 then
    raise exception using errcode = 'data_corrupted',
      message = format('finishing an operation changed %s rows', v_count);
  end if;
  delete from ipam.saga_run r where r.operation_id = finish_operation.operation_id;
  select o.* into strict v_known from ipam.operation o where o.operation_id = finish_operation.operation_id;
  return ipam.operation_answer_for('finished', v_known);
end
$function$;
