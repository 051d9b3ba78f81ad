-- Extends several slots of a request, all or none, as ipam.confirm_many confirms them.
create or replace function ipam.extend_many(vrf text, request_id uuid, slots text[], ttl_seconds double precision) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
set lock_timeout = '2s'
as $function$
#variable_conflict use_column
declare
  v_refused ipam.answer[];
  v_expires_at timestamptz := clock_timestamp() + make_interval(secs => ttl_seconds);
begin
  perform ipam.check_request(extend_many.vrf, extend_many.request_id, slots, ttl_seconds => extend_many.ttl_seconds);
  if extend_many.ttl_seconds is null then
    raise exception using errcode = 'invalid_parameter_value', message = 'ttl_seconds: must be given';
  end if;
  v_refused := ipam.lock_for_change(extend_many.vrf, extend_many.request_id, slots);
  if v_refused is not null then
    return query select * from unnest(v_refused);
    return;
  end if;
  update ipam.allocation a
  set expires_at = v_expires_at
  where a.vrf = extend_many.vrf and a.request_id = extend_many.request_id and a.slot = any (slots) and a.confirmed_at is null;
  return query select h.* from ipam.held_answers('extended', extend_many.vrf, extend_many.request_id, slots) h;
end
$function$;
