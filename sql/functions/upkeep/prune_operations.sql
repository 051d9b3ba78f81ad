-- Forgets the details of operations that ended before the horizon: payload, targets, result and error. That they ended
-- is kept, so that a rerun is refused forever; an operation whose id is a UUIDv7 is deleted whole, since `key_expired`
-- refuses its rerun.
--
-- horizon_seconds: at least a day, and longer than any operation has been pending. operation_ids: 1 to 1000. An
-- operation that must stay, was pruned before or still holds an address is skipped.
-- Returns how many it pruned. Repeatable: the second call finds them pruned.
create or replace function ipam.prune_operations(horizon_seconds double precision, operation_ids uuid[]) returns int
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_horizon timestamptz;
  v_ids uuid[];
begin
  perform ipam.check_isolation();
  perform ipam.check_horizon(horizon_seconds, v_now);
  if (cardinality(operation_ids) between 1 and 1000) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'operation_ids: must be 1 to 1000';
  end if;
  v_horizon := v_now - make_interval(secs => horizon_seconds);
  select array_agg(x.operation_id) into v_ids
  from (
    select o.operation_id
    from ipam.operation o
    where o.operation_id = any (operation_ids) and not o.pending and o.pruned_at is null and o.finished_at < v_horizon
      and not ipam.holds_anything(o.operation_id)
    order by o.operation_id
    for update
  ) x;
  update ipam.retention r set pruned_before = v_horizon where r.pruned_before < v_horizon;
  delete from ipam.operation_target t where t.operation_id = any (v_ids);
  delete from ipam.saga_step s where s.operation_id = any (v_ids);
  delete from ipam.operation o where o.operation_id = any (v_ids) and ipam.uuid_time(o.operation_id) < v_horizon;
  update ipam.operation o
  set
    pruned_at = v_now, payload = null, execution_id = null,
    result = case when o.state = 'succeeded' then 'null'::jsonb end,
    error = case when o.state = 'unwound' then 'null'::jsonb end
  where o.operation_id = any (v_ids);
  return coalesce(cardinality(v_ids), 0);
end
$function$;
