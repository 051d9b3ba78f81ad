-- Locks an operation until the end of the transaction, against allocations under it and against other changes of it. It
-- comes before all other locks but those of targets.
--
-- Returns the operation; null if its home VRF has none with that id.
create or replace function ipam.lock_operation(operation_id uuid, vrf text) returns ipam.operation
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
begin
  perform ipam.check_key(lock_operation.vrf, lock_operation.operation_id);
  select o.* into v_known
  from ipam.operation o
  where o.operation_id = lock_operation.operation_id and o.vrf = lock_operation.vrf
  for update;
  return v_known;
end
$function$;
