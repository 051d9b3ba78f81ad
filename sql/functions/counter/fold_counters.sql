-- Removes the counter shards that were inserted while all 64 of the pool were in use, except those in use now. For
-- upkeep; never needed for correctness.
--
-- Returns how many it removed. Safe: a shard is claimed before it is read, and its counts move to another one in the
-- same transaction.
create or replace function ipam.fold_counters(vrf text, pool_id bigint) returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_gone record;
begin
  with gone as (
    delete from ipam.pool_counter c
    where c.vrf = fold_counters.vrf and c.pool_id = fold_counters.pool_id and c.shard >= 64
      and ipam.claim_shard(c.pool_id, c.shard)
    returning c.held, c.reserved
  )

  select count(*)::int as shards, sum(gone.held)::bigint as held, sum(gone.reserved) as reserved into v_gone from gone;
  if v_gone.shards > 0 then
    perform ipam.count_units(fold_counters.vrf, fold_counters.pool_id, v_gone.held, v_gone.reserved);
  end if;
  return v_gone.shards;
end
$function$;
