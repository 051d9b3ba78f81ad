-- The answer of a call on a key, made of the key, the allocation (null for a refusal) and the outcome. The pool appears
-- under its present name; without an allocation, as the caller named it.
create or replace function ipam.answer_for(
  outcome text, vrf text, pool text, request_id uuid, slot text, known ipam.allocation, detail jsonb default null,
  freed boolean default null
) returns ipam.answer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool text := answer_for.pool;
  v_network record;
begin
  if known.pool_id is not null then
    select p.name into v_pool from ipam.pool p where p.vrf = answer_for.vrf and p.pool_id = known.pool_id;
  end if;
  select r.prefix_length, r.gateway into v_network
  from ipam.range r
  where r.vrf = answer_for.vrf and r.range_id = known.range_id;
  return row(
    answer_for.outcome, answer_for.vrf, v_pool, answer_for.request_id, answer_for.slot, known.unit,
    v_network.prefix_length, v_network.gateway, known.generation,
    case
      when known.released_at is not null then 'released'
      when known.confirmed_at is not null then 'confirmed'
      when known.allocated_at is not null then 'provisional'
    end,
    known.expires_at, known.owner_kind, known.owner_id, answer_for.freed, answer_for.detail,
    known.allocated_at
  )::ipam.answer;
end
$function$;
