-- Removes the orphan marks of allocations that no longer look orphaned. Returns how many it removed.
create or replace function ipam.clear_orphan_marks(vrf text, request_ids uuid[], slots text[]) returns int
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_count int;
begin
  perform ipam.check_isolation();
  delete from ipam.orphan_mark m
  using unnest(request_ids, slots) t (request_id, slot)
  where m.vrf = clear_orphan_marks.vrf and m.request_id = t.request_id and m.slot = t.slot;
  get diagnostics v_count = row_count;
  return v_count;
end
$function$;
