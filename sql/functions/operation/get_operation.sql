-- One operation (`found`); no row if there is none.
create or replace function ipam.get_operation(operation_id uuid) returns setof ipam.operation_answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from ipam.operation o cross join lateral ipam.operation_answer_for('found', o) x
  where o.operation_id = get_operation.operation_id;
$function$;
