-- Locks the live allocations of these slots, in the order of slots, and counts them.
create or replace function ipam.lock_held(vrf text, request_id uuid, slots text[]) returns int
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_held int := 0;
  v_slot text;
begin
  for v_slot in select s.slot from unnest(slots) s (slot) order by s.slot collate "C" loop
    perform
    from ipam.allocation a
    where a.vrf = lock_held.vrf and a.request_id = lock_held.request_id and a.slot = v_slot and a.released_at is null
    for no key update;
    v_held := v_held + found::int;
  end loop;
  return v_held;
end
$function$;
