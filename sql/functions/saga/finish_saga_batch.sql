-- Ends several sagas that have nothing to do with each other: what ipam.finish_saga does for each of them, in one
-- statement for all.
--
-- The parameters are lists of those of ipam.finish_saga, of equal length.
-- Returns a row for each: its position in the lists, from 1 on, and the answer.
-- Repeatable: as ipam.finish_saga.
-- Raises as ipam.finish_saga, with nothing written.
-- Safe: all operations are locked first, in their order. If another transaction has locked one, it waits 50 ms at most,
-- and then raises lock_not_available (55P03) with nothing written.
-- Cost: one commit, and a row for each key of the operations.
create or replace function ipam.finish_saga_batch(
  operation_ids uuid[], vrfs text[], epochs int[], settled jsonb[], states text[], results jsonb[], errors jsonb[]
) returns table (n int, answer ipam.operation_answer)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_isolation();
  perform
  from ipam.operation o
  where o.operation_id = any (finish_saga_batch.operation_ids)
  order by o.operation_id
  for update;
  return query
  select u.n::int, x
  from unnest(operation_ids, vrfs, epochs, finish_saga_batch.settled, states, results, errors)
    with ordinality u (operation_id, vrf, epoch, settled, state, result, error, n)
    cross join lateral ipam.finish_saga(u.operation_id, u.vrf, u.epoch, u.settled, u.state, u.result, u.error) x;
end
$function$;
