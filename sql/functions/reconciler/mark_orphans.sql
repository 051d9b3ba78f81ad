-- The first pass of a reconciler: marks allocations that look orphaned. A mark belongs to a generation, so the mark of
-- an earlier holder counts for nothing.
--
-- request_ids, slots, generations: of equal length, 1 to 1000. marked_by: who marks them.
-- Returns how many are newly marked. An allocation that is no longer held under this generation is skipped, and marks
-- of released allocations are removed.
-- Repeatable: a mark keeps its time.
create or replace function ipam.mark_orphans(
  vrf text, request_ids uuid[], slots text[], generations bigint[], marked_by text
) returns int
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_count int;
begin
  perform ipam.check_isolation();
  if (cardinality(request_ids) between 1 and 1000) is not true or cardinality(slots) <> cardinality(request_ids)
    or cardinality(generations) <> cardinality(request_ids) then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'orphans: must be 1 to 1000, their parts of equal length';
  end if;
  delete from ipam.orphan_mark m
  using ipam.allocation a
  where m.vrf = mark_orphans.vrf and a.vrf = m.vrf and a.request_id = m.request_id and a.slot = m.slot
    and a.released_at is not null;
  insert into ipam.orphan_mark as m (vrf, request_id, slot, generation, marked_at, marked_by)
  select mark_orphans.vrf, t.request_id, t.slot, t.generation, clock_timestamp(), mark_orphans.marked_by
  from unnest(request_ids, slots, generations) t (request_id, slot, generation)
    join ipam.allocation a
      on a.vrf = mark_orphans.vrf and a.request_id = t.request_id and a.slot = t.slot and a.generation = t.generation
      and a.released_at is null
  order by t.request_id, t.slot collate "C"
  on conflict (vrf, request_id, slot) do update
    set generation = excluded.generation, marked_at = excluded.marked_at, marked_by = excluded.marked_by
    where m.generation <> excluded.generation;
  get diagnostics v_count = row_count;
  return v_count;
end
$function$;
