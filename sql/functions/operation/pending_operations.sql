-- Every operation that works on the target and has not ended, oldest first.
--
-- vrf: null for any VRF. except_operation_id: an operation to leave out; null for none.
-- For display: a decision needs ipam.has_pending_operation, which waits for beginnings that have not committed. Every
-- operation that had begun before that gate answered is listed after it.
create or replace function ipam.pending_operations(vrf text, kind text, id text, except_operation_id uuid default null)
returns setof ipam.operation_answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from ipam.operation_target t
    join ipam.operation o on o.operation_id = t.operation_id
    cross join lateral ipam.operation_answer_for('found', o) x
  where t.kind = pending_operations.kind and t.id = pending_operations.id and t.pending
    and (pending_operations.vrf is null or t.vrf = pending_operations.vrf)
    and (except_operation_id is null or t.operation_id <> except_operation_id)
  order by t.sequence;
$function$;
