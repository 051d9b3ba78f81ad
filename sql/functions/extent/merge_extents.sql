-- Merges adjacent extents of a pool, since releases leave many extents of a single unit. Never needed for correctness.
--
-- after: reads only extents above this address; null starts at the first. max_rows: the largest number of extents to
-- read.
-- Returns how many extents fewer there are, and the last unit read, to continue after; null if the pool was read to its
-- end.
-- Safe: runs are found in one snapshot, without locks. Then only their extents are locked, skipping those that another
-- transaction holds, and the locked rows decide again what is merged. So it waits for nobody, and a caller that needs
-- an address of such an extent waits at most for the end of this transaction. Merging never crosses a sixty-fourth of a
-- range (ipam.range_part).
-- Cost: linear in max_rows.
create or replace function ipam.merge_extents(
  vrf text, pool_id bigint, after inet, max_rows int, out fewer int, out last inet
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_seen ipam.free_extent[] := array(
    select e
    from ipam.free_extent e
    where e.vrf = merge_extents.vrf and e.pool_id = merge_extents.pool_id
      -- A prefix of length 0 is below every address.
      and e.last > coalesce(merge_extents.after, '0.0.0.0/0')
    order by e.last
    limit merge_extents.max_rows
  );
  v_locked ipam.free_extent[];
  v_run record;
begin
  fewer := 0;
  last := case when cardinality(v_seen) = max_rows then v_seen[max_rows].last end;
  v_locked := array(
    select e
    from ipam.free_extent e
    where e.extent_id in (select unnest(r.extent_ids) from ipam.extent_runs(v_seen, v_now) r)
    order by e.last
    for update skip locked
  );
  for v_run in select r.* from ipam.extent_runs(v_locked, v_now) r loop
    delete from ipam.free_extent e where e.extent_id = any (v_run.extent_ids);
    insert into ipam.free_extent (vrf, pool_id, range_id, available_at, next, last, generation, draining)
    values (
      merge_extents.vrf, merge_extents.pool_id, v_run.range_id, v_run.available_at, v_run.next, v_run.last,
      v_run.generation, v_run.draining
    );
    fewer := fewer + cardinality(v_run.extent_ids) - 1;
  end loop;
end
$function$;
