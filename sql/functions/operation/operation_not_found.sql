-- The answer where the home named has no operation of that id: `not_found`, and the VRF that has it, if any.
create or replace function ipam.operation_not_found(operation_id uuid) returns ipam.operation_answer
language sql stable
set search_path = pg_catalog, pg_temp
return ipam.operation_answer_for(
  'not_found', null,
  (select jsonb_build_object('vrfs', coalesce(jsonb_agg(o.vrf), '[]')) from ipam.operation o where o.operation_id = operation_not_found.operation_id)
);
