-- Deletes tombstones older than the horizon, at most max_rows. Only those of UUIDv7 keys: ipam.allocate can tell that
-- such a key is old, and refuses it as `key_expired`. Any other tombstone stays, or its key could be allocated again.
--
-- horizon_seconds: at least a day, and longer than any operation has been pending.
-- Returns how many it deleted; fewer than max_rows: none are left.
-- Safe: the time before which keys are refused is written together with the deletion, so no snapshot sees one without
-- the other.
create or replace function ipam.prune_keys(horizon_seconds double precision, max_rows int default 1000) returns int
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_horizon timestamptz;
  v_count int;
begin
  perform ipam.check_isolation();
  perform ipam.check_horizon(horizon_seconds, v_now);
  if (max_rows between 1 and 10000) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'max_rows: must be 1 to 10000';
  end if;
  v_horizon := v_now - make_interval(secs => horizon_seconds);
  update ipam.retention r set pruned_before = v_horizon where r.pruned_before < v_horizon;
  with old as materialized (
    select a.vrf, a.request_id, a.slot
    from ipam.allocation a
    where a.released_at < v_horizon and a.released_at is not null and get_byte(uuid_send(a.request_id), 6) >> 4 = 7
      and ipam.uuid_time(a.request_id) < v_horizon
    order by a.released_at
    limit max_rows
    for update skip locked
  ),

  gone as (
    delete from ipam.allocation a
    using old
    where a.vrf = old.vrf and a.request_id = old.request_id and a.slot = old.slot
    returning a.vrf, a.generation
  ),

  -- The floor remembers the generations of deleted tombstones, for extents that must be created anew.
  floors as (
    update ipam.vrf v
    set generation_floor = greatest(v.generation_floor, g.generation)
    from (select gone.vrf, max(gone.generation) as generation from gone group by gone.vrf) g
    where v.vrf = g.vrf
  )

  select count(*) into v_count from gone;
  return v_count;
end
$function$;
