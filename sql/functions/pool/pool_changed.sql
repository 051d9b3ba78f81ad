-- Updates what follows from a change of a pool or its ranges, under its lock: its size, its revision and its contention
-- offsets.
create or replace function ipam.pool_changed(vrf text, pool_id bigint) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  update ipam.pool p
  set
    revision = p.revision + 1,
    size = (
      select coalesce(sum(ipam.unit_count(r.first, r.last)), 0)
      from ipam.range r
      where r.vrf = pool_changed.vrf and r.pool_id = pool_changed.pool_id
    )
  where p.vrf = pool_changed.vrf and p.pool_id = pool_changed.pool_id;
  perform ipam.set_contention_offsets(pool_changed.vrf, pool_changed.pool_id);
end
$function$;
