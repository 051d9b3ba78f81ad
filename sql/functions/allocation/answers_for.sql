-- The answers of a call on several keys of a VRF, as ipam.answer_for makes each, in the order of the lists.
--
-- All lists are of equal length, or null where no key has any; request_ids and slots also where `known` has the keys.
-- Cost: one look a pool and a range, not one a key.
create or replace function ipam.answers_for(
  outcomes text[], vrf text, pools text[], request_ids uuid[], slots text[], known ipam.allocation[],
  details jsonb[] default null, freed boolean[] default null
) returns setof ipam.answer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  with asked as materialized (
    select t.*, answers_for.known[t.ordinal] as known
    from unnest(
      answers_for.outcomes, answers_for.pools, answers_for.request_ids, answers_for.slots, answers_for.details,
      answers_for.freed
    ) with ordinality t (outcome, pool, request_id, slot, detail, freed, ordinal)
  ),

  named as materialized (
    select used.pool_id, p.name
    from (select distinct (a.known).pool_id as pool_id from asked a) used
      cross join lateral (
        select p.name from ipam.pool p where p.vrf = answers_for.vrf and p.pool_id = used.pool_id limit 1
      ) p
  ),

  network as materialized (
    select used.range_id, r.prefix_length, r.gateway
    from (select distinct (a.known).range_id as range_id from asked a) used
      cross join lateral (
        select r.prefix_length, r.gateway
        from ipam.range r
        where r.vrf = answers_for.vrf and r.range_id = used.range_id
        limit 1
      ) r
  )

  select
    a.outcome, answers_for.vrf, coalesce(named.name, a.pool), coalesce((a.known).request_id, a.request_id),
    coalesce((a.known).slot::text, a.slot), (a.known).unit::inet,
    network.prefix_length::int, network.gateway::inet, (a.known).generation,
    case
      when (a.known).released_at is not null then 'released'
      when (a.known).confirmed_at is not null then 'confirmed'
      when (a.known).allocated_at is not null then 'provisional'
    end,
    (a.known).expires_at, (a.known).owner_kind::text, (a.known).owner_id::text, a.freed, a.detail,
    (a.known).allocated_at
  from asked a
    left join named on named.pool_id = (a.known).pool_id
    left join network on network.range_id = (a.known).range_id
  order by a.ordinal;
end
$function$;
