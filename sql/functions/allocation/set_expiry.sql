-- Sets when several held slots of a request expire, or confirms them, all or none. For ipam.confirm_many and
-- ipam.extend_many.
--
-- expires_at: null confirms. A confirmed slot stays as it is.
-- Returns one row a slot, in the order of `slots`: `confirmed` or `extended`. If one of them is not held, nothing
-- changes: that one is `expired`, `key_released` or `not_found`, and those that are held are `withheld`.
-- Repeatable: a slot that is confirmed already is not written.
-- Safe: the rows are locked in the order of slots before anything is decided. An operation with an expiry is extended
-- first.
create or replace function ipam.set_expiry(
  vrf text, request_id uuid, slots text[], expires_at timestamptz
) returns setof ipam.answer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_slot text;
  v_live boolean;
  v_held int;
  v_outcome text;
  v_answers ipam.answer[];
begin
  perform ipam.extend_operation(set_expiry.request_id);
  loop
    v_held := 0;
    for v_slot in select s.slot from unnest(slots) s (slot) order by s.slot collate "C" loop
      -- By the key alone: with `released_at is null` beside it, the planner could choose an index on units while tables
      -- are empty.
      select a.released_at is null into v_live
      from ipam.allocation a
      where a.vrf = set_expiry.vrf and a.request_id = set_expiry.request_id and a.slot = v_slot
      for no key update;
      v_held := v_held + coalesce(v_live, false)::int;
    end loop;

    if v_held < cardinality(slots) then
      v_outcome := 'withheld';
    else
      v_outcome := case when set_expiry.expires_at is null then 'confirmed' else 'extended' end;
      update ipam.allocation a
      set expires_at = set_expiry.expires_at, confirmed_at = case when set_expiry.expires_at is null then v_now end
      where a.vrf = set_expiry.vrf and a.request_id = set_expiry.request_id and a.slot = any (slots)
        and a.confirmed_at is null;
    end if;

    v_answers := array(
      select x
      from unnest(slots) with ordinality s (slot, ordinal)
        left join lateral (
          select a
          from ipam.allocation a
          where a.vrf = set_expiry.vrf and a.request_id = set_expiry.request_id and a.slot = s.slot
          limit 1
        ) known on true
        cross join lateral ipam.answer_for(
          case
            when (known.a).request_id is null then 'not_found'
            when (known.a).release_reason = 'expired' then 'expired'
            when (known.a).released_at is not null then 'key_released'
            else v_outcome
          end,
          set_expiry.vrf, null, set_expiry.request_id, s.slot, known.a, ipam.tombstone(known.a)
        ) x
      order by s.ordinal
    );
    -- If no slot explains a refusal, a slot that was absent has been committed since, and another attempt sees it.
    exit when v_outcome <> 'withheld' or exists (select from unnest(v_answers) x where x.outcome <> 'withheld');
  end loop;
  return query select x.* from unnest(v_answers) x;
end
$function$;
