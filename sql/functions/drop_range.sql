-- Takes a range away with its extents, raising the VRF's generation floor to the largest of them; null, or how many units are held.
--
-- Safe: extents are deleted first, waiting for whoever takes from them; then a fresh look for live allocations; then the extents
-- that a release may have added between the two. If anything is held the caller must roll back.
create or replace function ipam.drop_range(vrf text, pool_id bigint, range_id bigint, first inet, last inet) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_held bigint;
  v_gone record;
begin
  for v_round in 1 .. 2 loop
    with gone as (
      delete from ipam.free_extent e
      where e.vrf = drop_range.vrf and e.pool_id = drop_range.pool_id and e.last >= drop_range.first and e.next <= drop_range.last
      returning e.generation, e.available_at, ipam.unit_count(e.next, e.last) as units
    )
    select max(g.generation) as generation, coalesce(sum(g.units) filter (where g.available_at = 'infinity'), 0) as reserved
    into v_gone
    from gone g;
    update ipam.vrf v set generation_floor = v_gone.generation where v.vrf = drop_range.vrf and v.generation_floor < v_gone.generation;
    perform ipam.count_units(drop_range.vrf, drop_range.pool_id, 0, -v_gone.reserved);

    select count(*) into v_held
    from ipam.allocation a
    where a.vrf = drop_range.vrf and a.released_at is null and a.unit >= drop_range.first and a.unit <= drop_range.last;
    if v_held > 0 then
      return v_held;
    end if;
  end loop;
  delete from ipam.reservation s
  where s.vrf = drop_range.vrf and s.pool_id = drop_range.pool_id and s.first >= drop_range.first and s.last <= drop_range.last;
  delete from ipam.range r where r.vrf = drop_range.vrf and r.range_id = drop_range.range_id;
  update ipam.pool p
  set size = p.size - ipam.unit_count(drop_range.first, drop_range.last)
  where p.vrf = drop_range.vrf and p.pool_id = drop_range.pool_id;
  return null;
end
$function$;
