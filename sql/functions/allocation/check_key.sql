-- Refuses a VRF or a request id that no call accepts, before anything is read or written, and any isolation level but
-- read committed (ipam.check_isolation).
--
-- Raises invalid_parameter_value (22023).
create or replace function ipam.check_key(vrf text, request_id uuid) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_problem text;
begin
  perform ipam.check_isolation();
  v_problem := case
    when (char_length(vrf) between 1 and 200) is not true then 'vrf: must have 1 to 200 characters'
    when request_id is null then 'request_id: must be given'
    when request_id = '00000000-0000-0000-0000-000000000000' then 'request_id: must not be the nil UUID'
  end;
  if v_problem is not null then
    raise exception using errcode = 'invalid_parameter_value', message = v_problem;
  end if;
end
$function$;
