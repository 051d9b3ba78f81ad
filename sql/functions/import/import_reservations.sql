-- Reserves spans of a pool, each with its own reason, which shows that an import made the reservation.
--
-- pool: a name, or an id (digits only). ranges, reasons: of equal length; ranges as ipam.parse_range reads them. mark:
-- the beginning of every reason of this import. A reservation of the same span with another beginning was made by
-- somebody else, and keeps its reason.
-- Returns `reserved`; `address_outside`, and nothing was reserved, if the ranges of the pool do not contain all spans;
-- `unknown_pool`.
-- Repeatable. Safe: see ipam.settle_covers.
create or replace function ipam.import_reservations(vrf text, pool text, ranges text[], reasons text[], mark text)
returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(import_reservations.vrf, import_reservations.pool);
  v_changed bigint;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(import_reservations.vrf, import_reservations.pool);
  end if;
  begin
    insert into ipam.reservation as known (vrf, pool_id, first, last, kind, reason)
    select distinct on (s.first, s.last) import_reservations.vrf, v_pool_id, s.first, s.last, 'requested', t.reason
    from unnest(ranges, reasons) t (range, reason) cross join lateral ipam.parse_range(t.range) s
    order by s.first, s.last, t.reason
    on conflict (vrf, pool_id, first, last, kind) do update
      set reason = excluded.reason
      where starts_with(known.reason, import_reservations.mark) and known.reason <> excluded.reason;
    get diagnostics v_changed = row_count;
    -- The rows exist already, each with its reason; this checks that the ranges contain them, and settles their covers.
    if ipam.insert_reservations(import_reservations.vrf, v_pool_id, ranges) is null then
      raise sqlstate 'IP004';
    end if;
  exception
    when sqlstate 'IP004' then
      return ipam.pool_answer_for('address_outside', import_reservations.vrf, v_pool_id, import_reservations.pool);
  end;
  update ipam.pool p
  set revision = p.revision + 1
  where p.vrf = import_reservations.vrf and p.pool_id = v_pool_id and v_changed > 0;
  return ipam.pool_answer_for('reserved', import_reservations.vrf, v_pool_id, import_reservations.pool);
end
$function$;
