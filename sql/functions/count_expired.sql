-- How many provisional allocations are past their ttl, of one VRF or (vrf null) of all: what reclaim_expired would release now.
-- Reads only.
--
-- Exact, so without a limit: whoever has it released next reads more for each. Cost: an index probe a VRF, and the index entries
-- of what has expired; a million of them take less than a second.
create or replace function ipam.count_expired(vrf text default null) returns bigint
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
begin
  return (
    select coalesce(sum(expired.count), 0)
    from ipam.vrf v
      cross join lateral (
        select count(*)
        from ipam.allocation a
        where a.vrf = v.vrf and a.expires_at <= v_now and a.released_at is null and a.confirmed_at is null
      ) expired
    where count_expired.vrf is null or v.vrf = count_expired.vrf
  );
end
$function$;
