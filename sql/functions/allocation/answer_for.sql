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
  v_answer ipam.answer;
begin
  v_answer.outcome := answer_for.outcome;
  v_answer.vrf := answer_for.vrf;
  v_answer.pool := answer_for.pool;
  v_answer.request_id := answer_for.request_id;
  v_answer.slot := answer_for.slot;
  v_answer.freed := answer_for.freed;
  v_answer.detail := answer_for.detail;
  v_answer.address := known.unit;
  v_answer.generation := known.generation;
  v_answer.state := case
    when known.released_at is not null then 'released'
    when known.confirmed_at is not null then 'confirmed'
    when known.allocated_at is not null then 'provisional'
  end;
  v_answer.allocated_at := known.allocated_at;
  v_answer.expires_at := known.expires_at;
  v_answer.owner_kind := known.owner_kind;
  v_answer.owner_id := known.owner_id;
  if known.pool_id is not null then
    select p.name into v_answer.pool from ipam.pool p where p.vrf = answer_for.vrf and p.pool_id = known.pool_id;
    select r.prefix_length, r.gateway into v_answer.prefix_length, v_answer.gateway
    from ipam.range r
    where r.vrf = answer_for.vrf and r.range_id = known.range_id;
  end if;
  return v_answer;
end
$function$;
