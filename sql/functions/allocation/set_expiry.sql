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
  v_held int;
  v_outcome text;
  v_outcomes text[];
  v_known ipam.allocation[];
  v_details jsonb[];
begin
  perform ipam.extend_operation(set_expiry.request_id);
  loop
    -- By the key alone: with `released_at is null` beside it, the planner could choose an index on units while tables
    -- are empty.
    select count(*) filter (where locked.released_at is null) into v_held
    from (select s.slot from unnest(slots) s (slot) order by s.slot collate "C") w
      cross join lateral (
        select a.released_at
        from ipam.allocation a
        where a.vrf = set_expiry.vrf and a.request_id = set_expiry.request_id and a.slot = w.slot
        for no key update
      ) locked;

    if v_held < cardinality(slots) then
      v_outcome := 'withheld';
    else
      v_outcome := case when set_expiry.expires_at is null then 'confirmed' else 'extended' end;
      update ipam.allocation a
      set expires_at = set_expiry.expires_at, confirmed_at = case when set_expiry.expires_at is null then v_now end
      where a.vrf = set_expiry.vrf and a.request_id = set_expiry.request_id and a.slot = any (slots)
        and a.confirmed_at is null;
    end if;

    select
      array_agg(
        case
          when (known.a).request_id is null then 'not_found'
          when (known.a).release_reason = 'expired' then 'expired'
          when (known.a).released_at is not null then 'key_released'
          else v_outcome
        end
        order by s.ordinal
      ),
      array_agg(known.a order by s.ordinal), array_agg(ipam.tombstone(known.a) order by s.ordinal)
    into v_outcomes, v_known, v_details
    from unnest(slots) with ordinality s (slot, ordinal)
      left join lateral (
        select a
        from ipam.allocation a
        where a.vrf = set_expiry.vrf and a.request_id = set_expiry.request_id and a.slot = s.slot
        limit 1
      ) known on true;
    -- If no slot explains a refusal, a slot that was absent has been committed since, and another attempt sees it.
    exit when v_outcome <> 'withheld' or exists (select from unnest(v_outcomes) o where o <> 'withheld');
  end loop;
  return query
  select x.*
  from ipam.answers_for(
    v_outcomes, set_expiry.vrf, null, array_fill(set_expiry.request_id, array[cardinality(slots)]), slots, v_known,
    v_details
  ) x;
end
$function$;
