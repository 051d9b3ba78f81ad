-- Gives a provisional allocation a new ttl, counted from the server's clock; it may be shorter than before.
--
-- Returns `extended`, also for a confirmed allocation, which stays as it is; else as ipam.confirm.
create or replace function ipam.extend(
  vrf text, request_id uuid, slot text default 'default', ttl_seconds double precision default null
) returns ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_answer ipam.answer;
begin
  select * into strict v_answer
  from ipam.extend_many(extend.vrf, extend.request_id, array[extend.slot], extend.ttl_seconds);
  return v_answer;
end
$function$;
