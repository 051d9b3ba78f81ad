-- Confirms several slots of a request, all or none: if one of them cannot be confirmed, no slot changes.
--
-- slots: 1 to 65,536.
-- Returns one row a slot, in the order asked, as ipam.confirm; if one slot is refused, the slots that could have been
-- confirmed are `withheld`.
-- Repeatable and safe: ipam.set_expiry.
create or replace function ipam.confirm_many(vrf text, request_id uuid, slots text[]) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_request(confirm_many.vrf, confirm_many.request_id, slots);
  return query select x.* from ipam.set_expiry(confirm_many.vrf, confirm_many.request_id, slots, null) x;
end
$function$;
