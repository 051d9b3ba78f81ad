-- The targets of an operation in a canonical order: [{"vrf", "kind", "id"}].
create or replace function ipam.operation_targets(operation_id uuid) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
return (
  select coalesce(
    jsonb_agg(jsonb_build_object('vrf', t.vrf, 'kind', t.kind, 'id', t.id) order by t.vrf, t.kind, t.id), '[]'
  )
  from ipam.operation_target t
  where t.operation_id = operation_targets.operation_id
);
