-- Extends the expiry of an operation, since a call under it shows that its engine is alive. An operation without an
-- expiry is only looked up: it is neither locked nor written.
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
