-- Adds to what a pool holds and has reserved, in this session's shard. A pool without its shards is damage: raises.
create or replace function ipam.count_units(vrf text, pool_id bigint, held bigint, reserved numeric) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_place smallint := ipam.own_place();
begin
  update ipam.pool_counter c
  set held = c.held + count_units.held, reserved = c.reserved + count_units.reserved
  where c.vrf = count_units.vrf and c.pool_id = count_units.pool_id and c.shard = v_place;
  if not found then
    perform ipam.lacks_counter(count_units.vrf, count_units.pool_id);
  end if;
end
$function$;
