-- Locks the live allocations of these slots, in the order of slots, and counts them.
create or replace function ipam.lock_held(vrf text, request_id uuid, slots text[]) returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_held int := 0;
  v_slot text;
  v_live boolean;
begin
  for v_slot in select s.slot from unnest(slots) s (slot) order by s.slot collate "C" loop
    -- By the key alone: with `released_at is null` beside it, an index on units could be taken for it while tables are empty.
    select a.released_at is null into v_live
    from ipam.allocation a
    where a.vrf = lock_held.vrf and a.request_id = lock_held.request_id and a.slot = v_slot
    for no key update;
    v_held := v_held + coalesce(v_live, false)::int;
  end loop;
  return v_held;
end
$function$;
