-- Where callers who compete for this pool begin: 64 addresses, spread evenly over its extents that are free for good.
create or replace function ipam.set_spread(vrf text, pool_id bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  update ipam.pool p
  set spread = coalesce((
    select array_agg(free.starts[1 + n * cardinality(free.starts) / 64] order by n)
    from (
      select array_agg(e.next order by e.last) as starts
      from ipam.free_extent e
      where e.vrf = set_spread.vrf and e.pool_id = set_spread.pool_id and not e.draining and e.available_at = '-infinity'
    ) free, generate_series(0, 63) n
    where cardinality(free.starts) > 0
  ), '{}')
  where p.vrf = set_spread.vrf and p.pool_id = set_spread.pool_id;
end
$function$;
