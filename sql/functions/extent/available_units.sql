-- How many units a pool has available at a time, counted up to `needed`: no more extents are read than that.
create or replace function ipam.available_units(vrf text, pool_id bigint, at timestamptz, needed int) returns int
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_shown numeric;
begin
  select coalesce(sum(ipam.unit_count(e.next, e.last)), 0) into v_shown
  from (
    select f.next, f.last
    from ipam.free_extent f
    where f.vrf = available_units.vrf and f.pool_id = available_units.pool_id and not f.draining
      and f.available_at <= available_units.at
    order by f.available_at, f.last
    limit available_units.needed
  ) e;
  return least(v_shown, available_units.needed);
end
$function$;
