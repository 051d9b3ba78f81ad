-- Reserves spans of a pool that the caller has locked or created.
--
-- Returns how many reservations are new or have another reason; null, and nothing was written, if the ranges of the
-- pool do not contain all spans.
create or replace function ipam.insert_reservations(
  vrf text, pool_id bigint, ranges text[], reason text default null
) returns bigint
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_firsts inet[];
  v_lasts inet[];
  v_changed bigint;
begin
  if char_length(insert_reservations.reason) > 1000 then
    raise exception using errcode = 'invalid_parameter_value', message = 'reason: must have at most 1000 characters';
  end if;
  select array_agg(s.first order by s.first), array_agg(s.last order by s.first) into v_firsts, v_lasts
  from unnest(ranges) t (range) cross join lateral ipam.parse_range(t.range) s;
  if exists (
    select
    from unnest(v_firsts, v_lasts) s (first, last)
    where not ipam.unit_span(s.first, s.last) <@ coalesce((
      select range_agg(ipam.unit_span(r.first, r.last))
      from ipam.ranges_of(insert_reservations.vrf, insert_reservations.pool_id, s.first, s.last) r
    ), '{}')
  ) then
    return null;
  end if;
  insert into ipam.reservation as known (vrf, pool_id, first, last, kind, reason)
  select distinct
    insert_reservations.vrf, insert_reservations.pool_id, s.first, s.last, 'requested',
    nullif(insert_reservations.reason, '')
  from unnest(v_firsts, v_lasts) s (first, last)
  on conflict (vrf, pool_id, first, last, kind) do update
    set reason = excluded.reason
    where excluded.reason <> coalesce(known.reason, '');
  get diagnostics v_changed = row_count;
  perform ipam.settle_covers(insert_reservations.vrf, insert_reservations.pool_id, v_firsts, v_lasts);
  return v_changed;
end
$function$;
