-- Locks the allocations of these slots, in the order of slots, so that all are confirmed or extended, or none; before them the
-- operation that they are of, if it has a time of its own, which begins anew.
--
-- Comes back: null when all are held; else an answer a slot, in the order of `slots`: why it is not held, `withheld` where it is.
create or replace function ipam.lock_for_change(vrf text, request_id uuid, slots text[]) returns ipam.answer[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_held int;
  v_slot text;
  v_live boolean;
  v_answers ipam.answer[];
begin
  perform ipam.extend_operation(lock_for_change.request_id);
  loop
    v_held := 0;
    for v_slot in select s.slot from unnest(slots) s (slot) order by s.slot collate "C" loop
      -- By the key alone: with `released_at is null` beside it, an index on units could be taken for it while tables are empty.
      select a.released_at is null into v_live
      from ipam.allocation a
      where a.vrf = lock_for_change.vrf and a.request_id = lock_for_change.request_id and a.slot = v_slot
      for no key update;
      v_held := v_held + coalesce(v_live, false)::int;
    end loop;
    if v_held = cardinality(slots) then
      return null;
    end if;
    -- A slot that was not there may have come since: then no slot is refused, and all are looked at again.
    v_answers := array(
      select h from ipam.held_answers('withheld', lock_for_change.vrf, lock_for_change.request_id, slots) h
    );
    if exists (select from unnest(v_answers) h where h.outcome <> 'withheld') then
      return v_answers;
    end if;
  end loop;
end
$function$;
