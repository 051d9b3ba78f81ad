-- One step of a round over all pools that keeps small what grows with use: it merges the extents and folds the counters
-- of one pool, and at the beginning of a round removes parked extents whose cooldown has passed. A background task,
-- never needed for correctness.
--
-- after_vrf, after_pool_id, after: where the step before it ended; all null begins a round. max_rows: the largest
-- number of extents of the pool to read. min_extents: pools with fewer are skipped.
-- Returns how many rows fewer there are, and where to continue; a null vrf: the round is complete.
-- Repeatable. Safe: it locks rows of at most one pool, only those that it merges, and waits for nobody
-- (ipam.merge_extents).
-- Cost: linear in max_rows, or, if the next pools have few extents, in min_extents for each of up to a thousand pools.
create or replace function ipam.upkeep(
  after_vrf text default null, after_pool_id bigint default null, after inet default null, max_rows int default 2000,
  min_extents int default 129, out fewer int, out vrf text, out pool_id bigint, out last inet
)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool record;
  v_passed int := 0;
  v_due boolean := upkeep.after is not null;
begin
  perform ipam.check_isolation();
  if (max_rows between 2 and 10000 and min_extents between 2 and 100000) is not true then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'max_rows: must be 2 to 10000, min_extents 2 to 100000';
  end if;
  fewer := 0;
  if after_vrf is null then
    delete from ipam.parked_extent k
    using (
      select old.vrf, old.parked_id
      from ipam.parked_extent old
      where old.available_at <= clock_timestamp()
      limit max_rows
      for update skip locked
    ) past
    where k.vrf = past.vrf and k.parked_id = past.parked_id;
    get diagnostics fewer = row_count;
  end if;

  if v_due then
    vrf := after_vrf;
    pool_id := after_pool_id;
  else
    for v_pool in
      select p.vrf, p.pool_id
      from ipam.pool p
      where (p.vrf, p.pool_id) > (coalesce(after_vrf, ''), coalesce(after_pool_id, 0)) and p.deleted_at is null
      order by p.vrf, p.pool_id
      limit 1000
    loop
      v_passed := v_passed + 1;
      vrf := v_pool.vrf;
      pool_id := v_pool.pool_id;
      v_due := exists (
        select
        from ipam.free_extent e
        where e.vrf = v_pool.vrf and e.pool_id = v_pool.pool_id
        order by e.last
        offset min_extents - 1
        limit 1
      ) or exists (
        select from ipam.pool_counter c where c.vrf = v_pool.vrf and c.pool_id = v_pool.pool_id and c.shard >= 64
      );
      exit when v_due;
    end loop;
  end if;

  if v_due then
    if upkeep.after is null then
      fewer := fewer + ipam.fold_counters(upkeep.vrf, upkeep.pool_id);
    end if;
    select upkeep.fewer + m.fewer, m.last into fewer, last
    from ipam.merge_extents(upkeep.vrf, upkeep.pool_id, upkeep.after, max_rows) m;
  elsif v_passed < 1000 then
    vrf := null;
    pool_id := null;
  end if;
end
$function$;
