-- Turns everything that requests hold, in all VRFs, into tombstones.
--
-- request_ids: the caller has locked their keys, in the order of keys. reason: that of the tombstones.
-- Returns the allocations that they held; null if they held none. The caller returns the units to their pools
-- (ipam.free_everywhere) after it has locked everything else.
create or replace function ipam.release_requests(
  request_ids uuid[], reason text, at timestamptz
) returns ipam.allocation[]
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_held ipam.allocation[];
  v_released ipam.allocation[];
begin
  -- By the request alone: with `released_at is null` beside it, the planner could choose an index on units while tables
  -- are empty.
  select array_agg(a) filter (where a.released_at is null) into v_held
  from ipam.allocation a
  where a.request_id = any (request_ids);

  with released as (
    update ipam.allocation a
    set released_at = release_requests.at, release_reason = release_requests.reason
    from unnest(v_held) h
    where a.request_id = h.request_id and a.vrf = h.vrf and a.slot = h.slot
    returning a
  )
  select array_agg(released.a) into v_released from released;
  return v_released;
end
$function$;
