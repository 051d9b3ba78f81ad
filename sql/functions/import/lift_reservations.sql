-- Lifts reservations that an import made, each named by its span and its reason. Other reservations of the same
-- addresses stay.
--
-- Returns `unreserved` or `unknown_pool`. Repeatable. Safe: see ipam.settle_covers.
create or replace function ipam.lift_reservations(vrf text, pool text, firsts inet[], lasts inet[], reasons text[])
returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(lift_reservations.vrf, lift_reservations.pool);
begin
  if v_pool_id is null then
    return ipam.unknown_pool(lift_reservations.vrf, lift_reservations.pool);
  end if;
  delete from ipam.reservation s
  using unnest(firsts, lasts, reasons) t (first, last, reason)
  where s.vrf = lift_reservations.vrf and s.pool_id = v_pool_id and s.first = t.first and s.last = t.last
    and s.kind = 'requested' and s.reason = t.reason;
  if found then
    perform ipam.settle_covers(lift_reservations.vrf, v_pool_id, firsts, lasts);
    update ipam.pool p set revision = p.revision + 1 where p.vrf = lift_reservations.vrf and p.pool_id = v_pool_id;
  end if;
  return ipam.pool_answer_for('unreserved', lift_reservations.vrf, v_pool_id, lift_reservations.pool);
end
$function$;
