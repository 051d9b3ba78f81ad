-- The operations that ipam.prune_operations may forget: ended before the horizon, with nothing held under them. Oldest
-- first.
--
-- horizon_seconds: as for ipam.prune_operations. after_sequence: only operations that began later; null starts at the
-- first. page_size: how many ended operations to look at.
-- Returns at most that many rows, `found`, or `held` for one that must stay for now; no row at the end.
create or replace function ipam.prunable_operations(
  horizon_seconds double precision, after_sequence bigint default null, page_size int default 100
) returns setof ipam.operation_answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  select x.*
  from (
    select o
    from ipam.operation o
    where not o.pending and o.pruned_at is null and o.sequence > coalesce(after_sequence, 0)
      and o.finished_at < clock_timestamp() - make_interval(secs => horizon_seconds)
    order by o.sequence
    limit page_size
  ) page
    cross join lateral ipam.operation_answer_for(
      case when ipam.holds_anything((page.o).operation_id) then 'held' else 'found' end, page.o
    ) x;
end
$function$;
