-- Merges neighbouring free extents that have grown many, as releases make one each; a background task, never needed for
-- correctness. Looks at no more than max_rows extents of each pool, those that nobody holds.
--
-- Comes back: how many extents there are fewer.
-- Safe: rows that somebody holds are passed over. Merged ones keep the larger generation. No extent grows: the old rows go, one
-- new row comes. A sixty-fourth of the range is as far as merging goes, so that callers still find extents of their own.
create or replace function ipam.merge_extents(max_rows int default 1000) returns int
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $function$
#variable_conflict use_column
declare
  v_pool record;
  v_run record;
  v_fewer int := 0;
begin
  perform ipam.check_isolation();
  if (max_rows between 2 and 100000) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'max_rows: must be 2 to 100000';
  end if;
  for v_pool in select p.vrf, p.pool_id from ipam.pool p where p.deleted_at is null order by p.vrf, p.pool_id loop
    for v_run in
    with locked as materialized (
      select e.extent_id, e.range_id, e.next, e.last, e.generation
      from ipam.free_extent e
      where e.vrf = v_pool.vrf and e.pool_id = v_pool.pool_id and not e.draining and e.available_at = '-infinity'
      order by e.last
      limit max_rows
      for update skip locked
    ),

    -- A run: extents that touch, within one sixty-fourth of their range.
    placed as (
      select
        l.*, div(64 * (ipam.unit_count(r.first, l.next) - 1), ipam.unit_count(r.first, r.last)) as part,
        lag(l.last) over (partition by l.range_id order by l.last) as before
      from locked l join ipam.range r on r.vrf = v_pool.vrf and r.range_id = l.range_id
    ),

    numbered as (
      select
        p.*,
        count(*) filter (where ipam.unit_next(p.before) is distinct from p.next) over (partition by p.range_id, p.part order by p.last) as run
      from placed p
    )

    select
      n.range_id, min(n.next) as next, max(n.last) as last, max(n.generation) as generation, array_agg(n.extent_id) as extent_ids
    from numbered n
    group by n.range_id, n.part, n.run
    having count(*) > 1
    loop
      delete from ipam.free_extent e where e.extent_id = any (v_run.extent_ids);
      insert into ipam.free_extent (vrf, pool_id, range_id, next, last, generation)
      values (v_pool.vrf, v_pool.pool_id, v_run.range_id, v_run.next, v_run.last, v_run.generation);
      v_fewer := v_fewer + cardinality(v_run.extent_ids) - 1;
    end loop;
  end loop;
  return v_fewer;
end
$function$;
