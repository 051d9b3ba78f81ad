-- Extends several slots of a request, all or none, as ipam.confirm_many confirms them.
create or replace function ipam.extend_many(vrf text, request_id uuid, slots text[], ttl_seconds double precision) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set lock_timeout = '2s'
as $function$
#variable_conflict use_column
declare
  v_answers ipam.answer[];
  v_expires_at timestamptz := clock_timestamp() + make_interval(secs => ttl_seconds);
begin
  perform ipam.check_request(extend_many.vrf, extend_many.request_id, slots, ttl_seconds => extend_many.ttl_seconds);
  if extend_many.ttl_seconds is null then
    raise exception using errcode = 'invalid_parameter_value', message = 'ttl_seconds: must be given';
  end if;
  loop
    if ipam.lock_held(extend_many.vrf, extend_many.request_id, slots) = cardinality(slots) then
      update ipam.allocation a
      set expires_at = v_expires_at
      where a.vrf = extend_many.vrf and a.request_id = extend_many.request_id and a.slot = any (slots)
        and a.confirmed_at is null;
      return query select h.* from ipam.held_answers('extended', extend_many.vrf, extend_many.request_id, slots) h;
      return;
    end if;
    -- A slot that was not there may have come since: then no slot is refused, and all are looked at again.
    v_answers := array(select h from ipam.held_answers('withheld', extend_many.vrf, extend_many.request_id, slots) h);
    if exists (select from unnest(v_answers) h where h.outcome <> 'withheld') then
      return query select * from unnest(v_answers);
      return;
    end if;
  end loop;
end
$function$;
