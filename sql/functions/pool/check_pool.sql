-- Refuses arguments that no pool can have. Raises invalid_parameter_value (22023).
create or replace function ipam.check_pool(
  vrf text, name text, cooldown_seconds double precision, description text
) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_problem text := case
    when (char_length(vrf) between 1 and 200) is not true then 'vrf: must have 1 to 200 characters'
    when (char_length(name) between 1 and 200) is not true or name ~ '^[0-9]+$'
      then 'name: must have 1 to 200 characters, not only digits'
    when (cooldown_seconds between 0 and 3155760000) is not true then 'cooldown_seconds: must be 0 to a hundred years'
    when char_length(description) > 1000 then 'description: must have at most 1000 characters'
  end;
begin
  if v_problem is not null then
    raise exception using errcode = 'invalid_parameter_value', message = v_problem;
  end if;
end
$function$;
