-- The gate: whether any operation that has not ended works on the target, stuck ones too; not only the latest.
--
-- vrf: null for a target of that kind and id in any. except_operation_id: one that does not count, so that a saga may ask about
-- its own target; null when all count.
-- Safe: waits for beginnings on this target that have not committed. Called in a transaction of the caller's, it bars new ones
-- until that ends, so that what the caller does in its next statement cannot meet one. Under another isolation than read
-- committed it would answer from before that wait, so it is refused there. Whoever cannot read this must take the answer for true.
-- Cost: one index probe, at any length of the target's history.
create or replace function ipam.has_pending_operation(vrf text, kind text, id text, except_operation_id uuid default null) returns boolean
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
