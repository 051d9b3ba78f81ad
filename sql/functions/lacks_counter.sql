-- Raises data_corrupted (XX001), so that the call writes nothing: a pool without all of its 64 counter shards is damage.
create or replace function ipam.lacks_counter(vrf text, pool_id bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
  raise exception using errcode = 'data_corrupted', message = format('pool %s of vrf %s lacks a counter shard; run the doctor', pool_id, vrf);
end
$function$;
