-- What confirm and extend answer: `outcome` for each slot that is held, else why it is not. In the order of `slots`.
-- Cost: in plpgsql, which keeps its plan; SQL functions that are not inlined are planned in each call before PostgreSQL 18.
create or replace function ipam.held_answers(outcome text, vrf text, request_id uuid, slots text[]) returns setof ipam.answer
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  select x.*
  from unnest(held_answers.slots) with ordinality s (slot, ordinal)
    left join lateral (
      select a
      from ipam.allocation a
      where a.vrf = held_answers.vrf and a.request_id = held_answers.request_id and a.slot = s.slot
      limit 1
    ) known on true
    cross join lateral ipam.answer_for(
      case
        when (known.a).request_id is null then 'not_found'
        when (known.a).release_reason = 'expired' then 'expired'
        when (known.a).released_at is not null then 'key_released'
        else held_answers.outcome
      end,
      held_answers.vrf, null, held_answers.request_id, s.slot, known.a, ipam.tombstone(known.a)
    ) x
  order by s.ordinal;
end
$function$;
