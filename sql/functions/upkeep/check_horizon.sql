-- Refuses a horizon at which something that is still pending would be forgotten. Raises invalid_parameter_value
-- (22023).
create or replace function ipam.check_horizon(horizon_seconds double precision, at timestamptz) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_oldest timestamptz;
begin
  if (horizon_seconds between 86400 and 3155760000) is not true then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'horizon_seconds: must be a day to a hundred years';
  end if;
  select o.begun_at into v_oldest from ipam.operation o where o.pending order by o.begun_at limit 1;
  if v_oldest < check_horizon.at - make_interval(secs => horizon_seconds) then
    raise exception using errcode = 'invalid_parameter_value',
      message = format(
        'horizon_seconds: an operation has been pending since %s, which is longer', to_json(v_oldest) #>> '{}'
      );
  end if;
end
$function$;
