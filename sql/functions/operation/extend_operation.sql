-- Gives an operation that has a time of its own that time anew, since its engine has just shown that it lives. Any other
-- operation is only looked up: no lock, nothing written.
create or replace function ipam.extend_operation(operation_id uuid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
begin
  update ipam.operation o
  set expires_at = clock_timestamp() + o.expires_in
  where o.operation_id = extend_operation.operation_id and o.expires_in is not null and o.pending;
end
$function$;
