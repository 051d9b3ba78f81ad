-- Refuses arguments that no operation can begin with, before anything is read or written.
--
-- operation_id: neither null nor nil. kind, and each part of a target: 1 to 200 characters. targets: 1 to 256, their
-- parts of equal length. expires_in_seconds: null, or above 0 and at most a hundred years.
-- Raises invalid_parameter_value (22023).
create or replace function ipam.check_operation(
  operation_id uuid, vrf text, kind text, target_vrfs text[], target_kinds text[], target_ids text[],
  expires_in_seconds double precision default null
) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_problem text;
begin
  if operation_id is null or operation_id = '00000000-0000-0000-0000-000000000000' then
    raise exception using errcode = 'invalid_parameter_value', message = 'operation_id: must be given, and not nil';
  end if;
  perform ipam.check_key(vrf, operation_id);
  v_problem := case
    when (expires_in_seconds > 0 and expires_in_seconds <= 3155760000) is false
      then 'expires_in_seconds: must be above 0 and at most a hundred years'
    when (char_length(kind) between 1 and 200) is not true then 'kind: must have 1 to 200 characters'
    when (cardinality(target_ids) between 1 and 256) is not true then 'targets: must be 1 to 256'
    when cardinality(target_vrfs) is distinct from cardinality(target_ids)
      or cardinality(target_kinds) is distinct from cardinality(target_ids)
      then 'targets: vrfs, kinds and ids must be of equal length'
    when exists (
      select
      from unnest(target_vrfs || target_kinds || target_ids) t (part)
      where (char_length(t.part) between 1 and 200) is not true
    )
      then 'targets: vrf, kind and id must have 1 to 200 characters'
  end;
  if v_problem is not null then
    raise exception using errcode = 'invalid_parameter_value', message = v_problem;
  end if;
end
$function$;
