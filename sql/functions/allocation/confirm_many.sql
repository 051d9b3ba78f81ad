-- Confirms several slots of a request, all or none: if one cannot be, no slot changes, and each says what it is.
--
-- slots: 1 to 256. Comes back: one row a slot, in the order asked, as ipam.confirm; a slot that could have been is `withheld`.
-- Safe: the rows are locked in the order of slots before anything is decided.
create or replace function ipam.confirm_many(vrf text, request_id uuid, slots text[]) returns setof ipam.answer
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
  v_now timestamptz := clock_timestamp();
begin
  perform ipam.check_request(confirm_many.vrf, confirm_many.request_id, slots);
  v_refused := ipam.lock_for_change(confirm_many.vrf, confirm_many.request_id, slots);
  if v_refused is not null then
    return query select * from unnest(v_refused);
    return;
  end if;
  update ipam.allocation a
  set confirmed_at = v_now, expires_at = null
  where a.vrf = confirm_many.vrf and a.request_id = confirm_many.request_id and a.slot = any (slots) and a.confirmed_at is null;
  return query select h.* from ipam.held_answers('confirmed', confirm_many.vrf, confirm_many.request_id, slots) h;
end
$function$;
