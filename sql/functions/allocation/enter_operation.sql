-- The state of the operation that a request is of, null when it is of none. The operation is held until the end of the transaction,
-- so that it can neither turn to unwinding nor end meanwhile; for ipam.allocate_many, before it takes anything for an absent key.
--
-- Safe: one with a time of its own is updated, one without is held FOR SHARE, so that its allocates do not wait for each other.
-- Which of the two never changes, so it may be read before: whoever holds a share lock never waits for a stronger one.
create or replace function ipam.enter_operation(operation_id uuid) returns text
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_state text;
begin
  perform ipam.extend_operation(enter_operation.operation_id);
  select o.state into v_state from ipam.operation o where o.operation_id = enter_operation.operation_id for share;
  return v_state;
end
$function$;
