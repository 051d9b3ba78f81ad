-- Operations that prune_operations may take: ended before the horizon, with nothing held under them. The oldest first.
--
-- horizon_seconds: as for prune_operations. after_sequence: those that began later; null to begin with. page_size: how many
-- ended operations are looked at. Comes back: at most so many rows, `found`, or `held` for one that may not go yet; none at the end.
create or replace function ipam.prunable_operations(horizon_seconds double precision, after_sequence bigint default null, page_size int default 100)
returns setof ipam.operation_answer
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
    cross join lateral ipam.operation_answer_for(case when ipam.holds_anything((page.o).operation_id) then 'held' else 'found' end, page.o) x;
end
$function$;
