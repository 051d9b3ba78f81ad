-- Cuts first..last out of the reservations of these kinds of a pool. What lies outside of the span stays reserved, with
-- its reason.
--
-- Returns how many reservations it cut or removed. The caller holds the row of the pool, and settles the covers.
create or replace function ipam.cut_reservations(
  vrf text, pool_id bigint, first inet, last inet, kinds text[]
) returns bigint
language sql volatile
set search_path = pg_catalog, pg_temp
as $function$
  with cut as (
    delete from ipam.reservation s
    where s.vrf = cut_reservations.vrf and s.pool_id = cut_reservations.pool_id
      and s.kind = any (cut_reservations.kinds)
      and s.first <= cut_reservations.last and s.last >= cut_reservations.first
    returning s.*
  ),

  kept as (
    insert into ipam.reservation as s (vrf, pool_id, first, last, kind, reason)
    select c.vrf, c.pool_id, piece.first, piece.last, c.kind, min(c.reason)
    from cut c
      cross join lateral (
        values (c.first, least(c.last, ipam.unit_prev(cut_reservations.first))),
          (greatest(c.first, ipam.unit_next(cut_reservations.last)), c.last)
      ) piece (first, last)
    where piece.first <= piece.last
      and (piece.last < cut_reservations.first or piece.first > cut_reservations.last)
    group by c.vrf, c.pool_id, piece.first, piece.last, c.kind
    on conflict (vrf, pool_id, first, last, kind) do update set reason = coalesce(s.reason, excluded.reason)
  )

  select count(*) from cut;
$function$;
