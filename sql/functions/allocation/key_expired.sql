-- Whether a key is a UUIDv7 so old that its tombstone may have been pruned, so that nobody can tell whether it was
-- used.
--
-- The horizon is at least a day, so younger keys need no look at the settings. Stable: it reads in the snapshot of its
-- caller, which sees a tombstone gone only together with the `pruned_before` of the prune that deleted it.
create or replace function ipam.key_expired(request_id uuid, at timestamptz) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
return case
  when (ipam.uuid_time(key_expired.request_id) <= key_expired.at - interval '24 hours') is not true then false
  else (
    select ipam.uuid_time(key_expired.request_id) < greatest(r.pruned_before, key_expired.at - r.horizon)
    from ipam.retention r
  )
end;
