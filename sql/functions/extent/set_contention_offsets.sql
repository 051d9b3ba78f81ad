-- Sets the contention offsets of a pool: 64 addresses, evenly spaced over the extents that are free without a cooldown.
-- Sessions that contend for the pool start their search at one of them (ipam.session_offset).
create or replace function ipam.set_contention_offsets(vrf text, pool_id bigint) returns void
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
      where e.vrf = set_contention_offsets.vrf and e.pool_id = set_contention_offsets.pool_id and not e.draining
        and e.available_at = '-infinity'
    ) free, generate_series(0, 63) n
    where cardinality(free.starts) > 0
  ), '{}')
  where p.vrf = set_contention_offsets.vrf and p.pool_id = set_contention_offsets.pool_id;
end
$function$;
