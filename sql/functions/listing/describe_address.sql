-- What an address is, in one VRF, or (vrf null) in every VRF in which it is held or lies in a range, in the order of
-- VRFs.
--
-- Returns `held`, as other reads show it; else `reserved`, `cooling`, `draining` or `free`, with the pool, prefix
-- length and gateway of its range, and in the detail `until` (the end of its cooldown, reserved or not), `lastOwner`,
-- `draining` and `reservations`, each with first, last, kind and reason; `uncovered` if neither an extent nor an
-- allocation has it, which the doctor reports. No row: it lies outside of every range.
-- Cost: a few index probes for each VRF.
create or replace function ipam.describe_address(vrf text, address inet) returns setof ipam.answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  return query
  select x.*
  from ipam.vrf v
    cross join lateral (
      select a
      from ipam.allocation a
      where a.vrf = v.vrf and a.unit = describe_address.address and a.released_at is null
      limit 1
    ) holder
    cross join lateral ipam.listed(holder.a) x
  where describe_address.vrf is null or v.vrf = describe_address.vrf
  union all
  select
    case
      when e.extent_id is null then 'uncovered'
      when e.available_at = 'infinity' then 'reserved'
      when e.available_at > v_now then 'cooling'
      when e.draining then 'draining'
      else 'free'
    end,
    v.vrf::text, p.name::text, null::uuid, null, describe_address.address, r.prefix_length::int, r.gateway::inet,
    e.generation, null, null::timestamptz, null, null, null::boolean,
    jsonb_build_object(
      'until', nullif(greatest(ipam.cooldown_end(e.available_at, e.cooling_until), v_now), v_now),
      'lastOwner', case
        when e.last_owner_kind is not null
          then jsonb_build_object('kind', e.last_owner_kind, 'id', e.last_owner_id)
      end,
      'draining', coalesce(e.draining, false),
      'reservations', coalesce(s.found, '[]')
    ),
    null::timestamptz
  from ipam.vrf v
    cross join lateral (
      select r.*
      from ipam.range r
      where r.vrf = v.vrf and ipam.inet_range(r.first, r.last, '[]') @> describe_address.address
      limit 1
    ) r
    join ipam.pool p on p.vrf = v.vrf and p.pool_id = r.pool_id
    left join lateral (
      select e.*
      from ipam.free_extent e
      where e.vrf = v.vrf and e.pool_id = r.pool_id and e.last >= describe_address.address
      order by e.last
      limit 1
    ) e on e.next <= describe_address.address
    left join lateral (
      select jsonb_agg(
        jsonb_build_object('first', host(s.first), 'last', host(s.last), 'kind', s.kind, 'reason', s.reason)
        order by s.first, s.last, s.kind
      ) as found
      from ipam.reservation s
      where s.vrf = v.vrf and s.pool_id = r.pool_id and s.first <= describe_address.address
        and s.last >= describe_address.address
    ) s on true
  where (describe_address.vrf is null or v.vrf = describe_address.vrf)
    and not exists (
      select from ipam.allocation a where a.vrf = v.vrf and a.unit = describe_address.address and a.released_at is null
    )
  order by 2;
end
$function$;
