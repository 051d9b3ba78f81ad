-- Advances several sagas that have nothing to do with each other: what ipam.advance_saga does for each of them, in one
-- statement for all.
--
-- The parameters are lists of those of ipam.advance_saga, of equal length.
-- Returns a row for each: its position in the lists, from 1 on, and the answer.
-- Repeatable: as ipam.advance_saga.
-- Safe: all runs are locked first, in the order of their operations. If another transaction has locked one, it waits 50
-- ms at most, and then raises lock_not_available (55P03) with nothing written.
-- Cost: one commit.
create or replace function ipam.advance_saga_batch(
  operation_ids uuid[], epochs int[], settled jsonb[], nexts text[], next_undos boolean[],
  next_seconds double precision[]
) returns table (n int, answer ipam.saga_write)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_isolation();
  perform
  from ipam.saga_run r
  where r.operation_id = any (advance_saga_batch.operation_ids)
  order by r.operation_id
  for update;
  return query
  select u.n::int, x
  from unnest(operation_ids, epochs, advance_saga_batch.settled, nexts, next_undos, advance_saga_batch.next_seconds)
    with ordinality u (operation_id, epoch, settled, next, undo, seconds, n)
    cross join lateral ipam.advance_saga(u.operation_id, u.epoch, u.settled, u.next, u.undo, u.seconds) x;
end
$function$;
