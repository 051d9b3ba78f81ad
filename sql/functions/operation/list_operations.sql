-- The history of a target, newest first, before the given sequence number. The order is that of sequence numbers, since
-- clocks may disagree.
create or replace function ipam.list_operations(
  vrf text, kind text, id text, before_sequence bigint default null, page_size int default 100
) returns setof ipam.operation_answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select x.*
  from (
    select t.operation_id, t.sequence
    from ipam.operation_target t
    where t.kind = list_operations.kind and t.id = list_operations.id and t.vrf = list_operations.vrf
      and t.sequence < coalesce(list_operations.before_sequence, 9223372036854775807)
    order by t.sequence desc
    limit list_operations.page_size
  ) page
    join ipam.operation o on o.operation_id = page.operation_id
    cross join lateral ipam.operation_answer_for('found', o) x
  order by page.sequence desc;
$function$;
