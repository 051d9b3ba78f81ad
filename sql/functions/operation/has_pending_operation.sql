-- The gate: whether any operation that has not ended works on the target, a stuck one included, and not only the
-- latest.
--
-- vrf: null for a target of this kind and id in any VRF. except_operation_id: an operation that does not count, so that
-- a saga can ask about its own target; null if all count.
-- Safe: waits for beginnings on this target that have not committed. Inside a caller's own transaction it keeps new
-- ones out until that transaction ends, so that the caller's next statement cannot race with one. Under any other
-- isolation level than read committed the answer would date from before the wait, so it is refused. A caller that
-- cannot read this gate must assume true.
-- Cost: one index probe, however long the history of the target is.
create or replace function ipam.has_pending_operation(
  vrf text, kind text, id text, except_operation_id uuid default null
) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_isolation();
  perform pg_advisory_xact_lock_shared(ipam.target_lock(has_pending_operation.kind, has_pending_operation.id));
  return exists (
    select
    from ipam.operation_target t
    where t.kind = has_pending_operation.kind and t.id = has_pending_operation.id and t.pending
      and (has_pending_operation.vrf is null or t.vrf = has_pending_operation.vrf)
      and (except_operation_id is null or t.operation_id <> except_operation_id)
  );
end
$function$;
