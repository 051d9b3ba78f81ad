-- The second pass of a reconciler: releases one allocation that was marked as an orphan, unless there is evidence
-- against it.
--
-- generation: that of the mark, as a fencing token. marked_before_seconds: the least age of the mark. released_by,
-- note: who releases it and why, for the tombstone.
-- Returns `released` with reason orphaned; `already_released`; `operation_pending` if its owner or its request has a
-- pending operation; `not_marked` if this generation was not marked, or too recently; `not_found`.
-- Repeatable. Of two concurrent calls, one releases.
-- Safe: takes the advisory lock of the owner, which beginnings of operations on that target take too, and looks in the
-- next statement: an operation on the owner is either seen as pending, or begins when the address is free.
create or replace function ipam.release_orphan(
  vrf text, request_id uuid, slot text, generation bigint, released_by text, note text,
  marked_before_seconds double precision default 0
) returns ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_known ipam.allocation;
  v_outcome text;
begin
  perform ipam.check_request(release_orphan.vrf, release_orphan.request_id, array[release_orphan.slot]);
  if (
    char_length(release_orphan.released_by) between 1 and 200 and char_length(release_orphan.note) between 1 and 1000
  ) is not true then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'released_by: must have 1 to 200 characters, note 1 to 1000';
  end if;
  -- The owner of a key never changes, so it may be read before the lock.
  select a.* into v_known
  from ipam.allocation a
  where a.vrf = release_orphan.vrf and a.request_id = release_orphan.request_id and a.slot = release_orphan.slot;
  if v_known.owner_kind is not null then
    perform pg_advisory_xact_lock_shared(ipam.target_lock(v_known.owner_kind, v_known.owner_id));
  end if;
  -- Nor can the operation that holds it start unwinding or end meanwhile.
  perform from ipam.operation o where o.operation_id = release_orphan.request_id for share;

  select a.* into v_known
  from ipam.allocation a
  where a.vrf = release_orphan.vrf and a.request_id = release_orphan.request_id and a.slot = release_orphan.slot
  for update;
  v_now := clock_timestamp();
  v_outcome := case
    when v_known.request_id is null then 'not_found'
    when v_known.released_at is not null then 'already_released'
    when not exists (
      select from ipam.orphan_mark m
      where m.vrf = release_orphan.vrf and m.request_id = release_orphan.request_id and m.slot = release_orphan.slot
        and m.generation = v_known.generation and m.generation = release_orphan.generation
        and m.marked_at <= v_now - make_interval(secs => marked_before_seconds)
    ) then 'not_marked'
    when exists (select from ipam.operation o where o.operation_id = release_orphan.request_id and o.pending)
      or exists (
        select from ipam.operation_target t where t.kind = v_known.owner_kind and t.id = v_known.owner_id and t.pending
      ) then 'operation_pending'
    else 'released'
  end;
  if v_outcome = 'released' then
    update ipam.allocation a
    set
      released_at = v_now, release_reason = 'orphaned', released_by = release_orphan.released_by,
      release_note = release_orphan.note
    where a.vrf = release_orphan.vrf and a.request_id = release_orphan.request_id and a.slot = release_orphan.slot
    returning a.* into strict v_known;
    perform ipam.free_units(release_orphan.vrf, array[v_known], v_now);
  end if;
  if v_known.released_at is not null then
    delete from ipam.orphan_mark m
    where m.vrf = release_orphan.vrf and m.request_id = release_orphan.request_id and m.slot = release_orphan.slot;
  end if;
  return ipam.answer_for(
    v_outcome, release_orphan.vrf, null, release_orphan.request_id, release_orphan.slot, v_known,
    ipam.tombstone(v_known), v_outcome = 'released'
  );
end
$function$;
