-- Gives several slots of a request a new ttl, counted from the server's clock, all or none.
--
-- slots: 1 to 65,536.
-- Returns one row a slot, in the order asked, as ipam.extend; if one slot is refused, the slots that could have been
-- extended are `withheld`.
-- Repeatable and safe: ipam.set_expiry.
create or replace function ipam.extend_many(
  vrf text, request_id uuid, slots text[], ttl_seconds double precision
) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_request(extend_many.vrf, extend_many.request_id, slots, ttl_seconds => extend_many.ttl_seconds);
  if extend_many.ttl_seconds is null then
    raise exception using errcode = 'invalid_parameter_value', message = 'ttl_seconds: must be given';
  end if;
  return query
  select x.*
  from ipam.set_expiry(
    extend_many.vrf, extend_many.request_id, slots, clock_timestamp() + make_interval(secs => extend_many.ttl_seconds)
  ) x;
end
$function$;
