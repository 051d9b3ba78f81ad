-- Makes the covers of some spans of a pool, its extents and live allocations, agree with its ranges and reservations,
-- which the caller has just changed in the same transaction. Extents are cut where their state differs, take the id and
-- the draining of their range, become reserved or free again, and are removed outside of every range; live allocations
-- take the same flags for their release.
--
-- firsts, lasts: the spans, both ends inclusive. The caller holds the row of the pool, so that nobody else changes its
-- ranges and reservations.
-- Returns null once all agree; if live allocations lie outside of every range, what refuses the change, and then
-- nothing was changed: {"held": "3", "holders": [{"address", "requestId", "slot", "owner"}, ...]} with the first ten of
-- them.
-- Raises lock_not_available (55P03) after 10 seconds.
-- Safe: each unit of a range has exactly one cover, an extent or a live allocation. Whoever allocates or releases the
-- unit locks its cover, gives the next cover the flags that it reads in the locked row, and until it commits everybody
-- else sees the old cover. So a correct cover stays correct whatever happens to its unit, and a wrong one is either
-- changed here, under its lock, or still seen. Hence if one statement with one snapshot finds no wrong cover, there is
-- none until the commit. The first such statement refuses before anything is locked.
-- It waits for one lock at most 50 ms. Then it gives all locks back, so that nobody waits long for a change that itself
-- waits for an idle transaction, and starts again. For the same reason it needs no order of locks.
-- Kept (I6, I13): a removed extent raises the generation floor of the VRF, and its cooldown is parked until a range
-- contains it again.
-- Cost: linear in the covers of the spans.
create or replace function ipam.settle_covers(vrf text, pool_id bigint, firsts inet[], lasts inet[]) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_deadline timestamptz := clock_timestamp() + interval '10 seconds';
  v_found record;
  v_extents ipam.free_extent[];
  v_reserved_units numeric;
  v_floor bigint;
  v_gone bigint;
begin
  loop
    begin
      perform set_config('lock_timeout', '50ms', true);
      v_reserved_units := 0;
      v_floor := null;

      loop
        -- One statement, one snapshot, no lock: what is reserved, as far as the extents of the spans reach,
        with hull as (
          select min(least(s.first, e.next)) as low, max(greatest(s.last, e.last)) as high
          from unnest(settle_covers.firsts, settle_covers.lasts) s (first, last)
            left join lateral ipam.extents_of(settle_covers.vrf, settle_covers.pool_id, s.first, s.last) e on true
        ),

        reserved as materialized (
          select coalesce(range_agg(ipam.unit_span(r.first, r.last)), '{}') as spans
          from hull
            join ipam.reservation r
              on r.vrf = settle_covers.vrf and r.pool_id = settle_covers.pool_id
              and r.first <= hull.high and r.last >= hull.low
        ),

        -- and which extents and live allocations disagree with the ranges and that.
        extent as materialized (
          select w.extent_id
          from reserved
            cross join lateral ipam.wrong_extents(
              settle_covers.vrf, settle_covers.pool_id, settle_covers.firsts, settle_covers.lasts, reserved.spans
            ) w (extent_id)
        ),

        holder as materialized (
          select w.*
          from reserved
            cross join lateral ipam.wrong_holders(
              settle_covers.vrf, settle_covers.pool_id, settle_covers.firsts, settle_covers.lasts, reserved.spans
            ) w
        ),

        outside as (
          select jsonb_build_object(
            'address', host(h.unit), 'requestId', h.request_id, 'slot', h.slot,
            'owner', case
              when h.owner_kind is not null then jsonb_build_object('kind', h.owner_kind, 'id', h.owner_id)
            end
          ) as holder
          from holder h
          where h.outside
          order by h.unit
          limit 10
        )

        select
          (select r.spans from reserved r) as reserved,
          array(select lower(s) from reserved r cross join unnest(r.spans) s order by lower(s)) as reserved_from,
          array(select upper(s) from reserved r cross join unnest(r.spans) s order by lower(s)) as reserved_to,
          array(select extent.extent_id from extent) as extent_ids,
          array(select h.request_id from holder h order by h.unit) as request_ids,
          array(select h.slot from holder h order by h.unit) as slots,
          (
            select jsonb_build_object('held', count(*)::text, 'holders', (select jsonb_agg(o.holder) from outside o))
            from holder h
            where h.outside
            having count(*) > 0
          ) as in_way
        into v_found;
        if v_found.in_way is not null then
          raise sqlstate 'IP004';
        end if;
        exit when cardinality(v_found.extent_ids) = 0 and cardinality(v_found.request_ids) = 0;
        if clock_timestamp() > v_deadline then
          raise lock_not_available;
        end if;

        -- Extents are locked by their ids, in the order of addresses, and read again from the locked rows.
        select array_agg(locked.e) into v_extents
        from (
          select e from ipam.free_extent e where e.extent_id = any (v_found.extent_ids) order by e.last for update
        ) locked;
        delete from ipam.free_extent e where e.extent_id = any (v_found.extent_ids);

        -- What lies outside of every range now: its cooldown is parked.
        with lost as materialized (
          select
            old.generation, piece.span, old.last, old.last_owner_kind, old.last_owner_id,
            ipam.cooldown_end(old.available_at, old.cooling_until) as available_at
          from unnest(v_extents) old
            left join lateral (
              select range_agg(ipam.unit_span(r.first, r.last)) as spans
              from ipam.ranges_of(old.vrf, old.pool_id, old.next, old.last) r
            ) kept on true
            cross join lateral unnest(
              ipam.inet_multirange(ipam.unit_span(old.next, old.last)) - coalesce(kept.spans, '{}')
            ) piece (span)
        ),

        parked as (
          insert into ipam.parked_extent (vrf, first, last, available_at, last_owner_kind, last_owner_id)
          select
            settle_covers.vrf, lower(l.span), coalesce(ipam.unit_prev(upper(l.span)), l.last), l.available_at,
            l.last_owner_kind, l.last_owner_id
          from lost l
          where l.available_at > clock_timestamp()
        )

        select max(l.generation) into v_gone from lost l;
        v_floor := greatest(v_floor, v_gone);

        -- The rest, cut where its range or the reservations differ. A cooldown continues.
        with made as (
          insert into ipam.free_extent (
            vrf, pool_id, range_id, available_at, cooling_until, next, last, generation, last_owner_kind, last_owner_id,
            draining
          )
          select
            old.vrf, old.pool_id, r.range_id,
            case when part.reserved then 'infinity' else until.at end,
            case when part.reserved and until.at > '-infinity' then until.at end,
            lower(piece.span), coalesce(ipam.unit_prev(upper(piece.span)), old.last), old.generation,
            old.last_owner_kind, old.last_owner_id, r.draining
          from unnest(v_extents) old
            cross join lateral (select ipam.cooldown_end(old.available_at, old.cooling_until)) until (at)
            cross join lateral ipam.ranges_of(old.vrf, old.pool_id, old.next, old.last) r
            cross join lateral (
              select
                ipam.inet_multirange(ipam.unit_span(greatest(r.first, old.next), least(r.last, old.last))),
                greatest(1, width_bucket(old.next, v_found.reserved_from)),
                width_bucket(old.last, v_found.reserved_from)
            ) common (spans, from_span, to_span)
            -- Only the reserved spans that may reach into it: each operation on a multirange reads all of it.
            cross join lateral (
              select coalesce(range_agg(ipam.inet_range(n.low, n.high, '[)')), '{}')
              from unnest(
                v_found.reserved_from[common.from_span:common.to_span],
                v_found.reserved_to[common.from_span:common.to_span]
              ) n (low, high)
            ) near (spans)
            cross join lateral (
              values (true, common.spans * near.spans), (false, common.spans - near.spans)
            ) part (reserved, spans)
            cross join lateral unnest(part.spans) piece (span)
          returning available_at, next, last
        )

        select
          v_reserved_units
          + coalesce((select sum(ipam.unit_count(m.next, m.last)) from made m where m.available_at = 'infinity'), 0)
          - coalesce(
            (select sum(ipam.unit_count(e.next, e.last)) from unnest(v_extents) e where e.available_at = 'infinity'), 0
          )
        into v_reserved_units;

        update ipam.allocation a
        set range_id = home.range_id, draining = home.draining, reserved = v_found.reserved @> a.unit
        from unnest(v_found.request_ids, v_found.slots) k (request_id, slot)
          cross join lateral (
            select l.unit
            from ipam.allocation l
            where l.request_id = k.request_id and l.vrf = settle_covers.vrf and l.slot = k.slot
            limit 1
          ) held
          cross join lateral (
            select r.range_id, r.draining
            from ipam.range r
            where r.vrf = settle_covers.vrf and r.pool_id = settle_covers.pool_id and r.first <= held.unit
            order by r.first desc
            limit 1
          ) home
        where a.request_id = k.request_id and a.vrf = settle_covers.vrf and a.slot = k.slot and a.released_at is null;
      end loop;

      update ipam.vrf v set generation_floor = v_floor where v.vrf = settle_covers.vrf and v.generation_floor < v_floor;
      if v_reserved_units <> 0 then
        perform ipam.count_units(settle_covers.vrf, settle_covers.pool_id, 0, v_reserved_units);
      end if;
      return null;
    exception
      when sqlstate 'IP004' then
        return v_found.in_way;
      when lock_not_available then
        null;
    end;
    if clock_timestamp() > v_deadline then
      raise exception using errcode = 'lock_not_available',
        message = 'the change waited 10 seconds for allocations and releases in flight', detail = 'nothing was changed';
    end if;
  end loop;
end
$function$;
