-- The other operations that are pending on any of these targets, compared by VRF, kind and id: their number, and the
-- first 20 in the order in which they began; null if there are none.
--
-- Safe: the caller holds the advisory locks of the targets.
create or replace function ipam.busy_targets(
  operation_id uuid, target_vrfs text[], target_kinds text[], target_ids text[]
) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
  with busy as (
    select distinct
      o.sequence,
      jsonb_build_object('operationId', o.operation_id, 'vrf', o.vrf, 'kind', o.kind, 'state', o.state) as operation
    from unnest(target_vrfs, target_kinds, target_ids) asked (vrf, kind, id)
      join ipam.operation_target t on t.kind = asked.kind and t.id = asked.id and t.vrf = asked.vrf and t.pending
      join ipam.operation o on o.operation_id = t.operation_id
    where t.operation_id <> busy_targets.operation_id
  )

  select jsonb_build_object(
    'count', (select count(*) from busy),
    'pending', (
      select jsonb_agg(f.operation order by f.sequence)
      from (select b.sequence, b.operation from busy b order by b.sequence limit 20) f
    )
  )
  where exists (select from busy);
end;
