-- The operation that began last on the target; no row if there is none. For display only: an older operation may still
-- be pending.
create or replace function ipam.latest_operation(vrf text, kind text, id text) returns setof ipam.operation_answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.* from ipam.list_operations(latest_operation.vrf, latest_operation.kind, latest_operation.id, null, 1) x;
$function$;
