-- Every operation that works on the target and has not ended, the oldest first. vrf: null for any.
-- For looking; a decision goes by ipam.has_pending_operation, which waits for beginnings under way.
create or replace function ipam.pending_operations(vrf text, kind text, id text) returns setof ipam.operation_answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from ipam.operation_target t
    join ipam.operation o on o.operation_id = t.operation_id
    cross join lateral ipam.operation_answer_for('found', o) x
  where t.kind = pending_operations.kind and t.id = pending_operations.id and t.pending
    and (pending_operations.vrf is null or t.vrf = pending_operations.vrf)
  order by t.sequence;
$function$;
