-- How many allocations ipam.reclaim_expired would release now, in one VRF, or (vrf null) in all: everything held by
-- operations that have expired, and provisional allocations past their ttl, except under operations that have not
-- ended. Reads only.
--
-- The count is exact and unbounded: reclaiming what it counts reads more for each of them. Cost: an index probe for
-- each VRF, and the index entries of what has expired; a million of those take less than a second.
create or replace function ipam.count_expired(vrf text default null) returns bigint
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
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
          and not exists (select from ipam.operation o where o.operation_id = a.request_id and o.pending)
      ) expired
    where count_expired.vrf is null or v.vrf = count_expired.vrf
  ) + (
    select coalesce(sum(held.count), 0)
    from ipam.operation o
      cross join lateral (
        select count(*) filter (where a.released_at is null) from ipam.allocation a where a.request_id = o.operation_id
      ) held
    where o.expires_at <= v_now and o.pending and (count_expired.vrf is null or o.vrf = count_expired.vrf)
  );
end
$function$;
