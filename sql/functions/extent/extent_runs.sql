-- Finds which of the given extents can be merged: runs of at least two adjacent extents within one sixty-fourth of
-- their range that are all free or all reserved, and all draining or none. An extent in cooldown stays by itself; once
-- its cooldown has passed it counts as free.
--
-- at: the clock reading that tells which extents are in cooldown.
-- Returns one row a run: its extents, and what the extent that replaces them has, such as the largest generation of the
-- run.
create or replace function ipam.extent_runs(
  extents ipam.free_extent[], at timestamptz
) returns table (
  extent_ids bigint[], range_id bigint, available_at timestamptz, next inet, last inet, generation bigint,
  draining boolean
)
language sql stable
set search_path = pg_catalog, pg_temp
as $function$
  -- An extent in cooldown has no state here.
  with extent as (
    select
      e.*, ipam.range_part(r.first, r.last, e.next) as part,
      case
        when ipam.cooldown_end(e.available_at, e.cooling_until) > at then null
        when e.available_at = 'infinity' then e.available_at
        else '-infinity'
      end as state
    from unnest(extents) e join ipam.range r on r.vrf = e.vrf and r.range_id = e.range_id
  ),

  -- An extent begins a run unless the extent of its kind below it is adjacent.
  marked as (
    select e.*, ipam.unit_next(lag(e.last) over kind) is distinct from e.next as begins
    from extent e
    where e.state is not null
    window kind as (partition by e.range_id, e.part, e.state, e.draining order by e.last)
  ),

  numbered as (
    select m.*, count(*) filter (where m.begins) over kind as run
    from marked m
    window kind as (partition by m.range_id, m.part, m.state, m.draining order by m.last)
  )

  select array_agg(n.extent_id), n.range_id, n.state, min(n.next), max(n.last), max(n.generation), n.draining
  from numbered n
  group by n.range_id, n.part, n.state, n.draining, n.run
  having count(*) > 1;
$function$;
