-- Adds to the held and reserved counts of a pool, in whichever of its counter shards is available. A deleted pool has
-- no counts.
--
-- Safe: it waits for nobody. A shard that another transaction has is skipped (ipam.claim_shard), starting at the
-- session's own and wrapping around; if all are in use, a further one is inserted, which ipam.fold_counters removes
-- later. Which shards there are means nothing: only their sums do.
create or replace function ipam.count_units(vrf text, pool_id bigint, held bigint, reserved numeric) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_offset smallint := ipam.session_offset();
  v_shard smallint;
begin
  -- Most often its own, by one statement.
  update ipam.pool_counter c
  set held = c.held + count_units.held, reserved = c.reserved + count_units.reserved
  where c.vrf = count_units.vrf and c.pool_id = count_units.pool_id and c.shard = v_offset
    and ipam.claim_shard(c.pool_id, c.shard);
  if found then
    return;
  end if;

  for v_shard in
    select c.shard
    from ipam.pool_counter c
    where c.vrf = count_units.vrf and c.pool_id = count_units.pool_id and c.shard > v_offset
    union all
    select c.shard
    from ipam.pool_counter c
    where c.vrf = count_units.vrf and c.pool_id = count_units.pool_id and c.shard < v_offset
  loop
    continue when not ipam.claim_shard(count_units.pool_id, v_shard);
    update ipam.pool_counter c
    set held = c.held + count_units.held, reserved = c.reserved + count_units.reserved
    where c.vrf = count_units.vrf and c.pool_id = count_units.pool_id and c.shard = v_shard;
    if found then
      return;
    end if;
  end loop;

  insert into ipam.pool_counter as c (vrf, pool_id, shard, held, reserved)
  select p.vrf, p.pool_id, 64 + floor(random() * 32704), count_units.held, count_units.reserved
  from ipam.pool p
  where p.vrf = count_units.vrf and p.pool_id = count_units.pool_id and p.deleted_at is null
  on conflict (vrf, pool_id, shard) do update
    set held = c.held + excluded.held, reserved = c.reserved + excluded.reserved;
end
$function$;
