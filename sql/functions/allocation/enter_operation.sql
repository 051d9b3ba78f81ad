-- Returns the state of the operation that a request belongs to, null if it belongs to none, and holds that operation
-- until the end of the transaction, so that it can neither start unwinding nor end meanwhile. For ipam.allocate_many,
-- before it allocates to an absent key.
--
-- Safe: an operation with an expiry is updated; one without is held FOR SHARE, so that concurrent allocations under it
-- do not wait for each other. Which of the two applies never changes, so it may be read before: no holder of a share
-- lock ever waits for a stronger one.
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
