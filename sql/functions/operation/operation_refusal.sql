-- The answer to a change of an operation that is not pending: `operation_ended` with the state in which it ended, or
-- `not_found` with the VRFs that do have an operation of that id.
--
-- known: the operation as ipam.lock_operation returned it.
create or replace function ipam.operation_refusal(operation_id uuid, known ipam.operation) returns ipam.operation_answer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
begin
  if known.operation_id is not null then
    return ipam.operation_answer_for('operation_ended', known);
  end if;
  return ipam.operation_answer_for(
    'not_found', null,
    (
      select jsonb_build_object('vrfs', coalesce(jsonb_agg(o.vrf), '[]'))
      from ipam.operation o
      where o.operation_id = operation_refusal.operation_id
    )
  );
end
$function$;
