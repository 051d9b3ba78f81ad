-- The operation, locked until the end of the transaction against allocating under it and against other ends; null when there is none.
create or replace function ipam.lock_operation(operation_id uuid) returns ipam.operation
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_known ipam.operation;
begin
  perform ipam.check_request('default', lock_operation.operation_id, array['default']);
  select o.* into v_known from ipam.operation o where o.operation_id = lock_operation.operation_id for update;
  return v_known;
end
$function$;
