-- Reserves first..last of one range: its free and cooling units at once, its live ones when they are released.
--
-- Safe: waits for the extents, then for the live rows of the span, and looks again until a look with a fresh snapshot changes
-- nothing: a release that was under way may have added an extent, an allocate a live row.
create or replace function ipam.reserve_span(
  vrf text, pool_id bigint, first inet, last inet, kind text
) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_extent ipam.free_extent;
  v_changed boolean;
  v_reserved numeric := 0;
  v_part record;
begin
  insert into ipam.reservation (vrf, pool_id, first, last, kind)
  values (reserve_span.vrf, reserve_span.pool_id, reserve_span.first, reserve_span.last, reserve_span.kind)
  on conflict (vrf, pool_id, first, last, kind) do nothing;
  loop
    v_changed := false;
    for v_extent in
      select e.*
      from ipam.free_extent e
      where e.vrf = reserve_span.vrf and e.pool_id = reserve_span.pool_id
        and e.last >= reserve_span.first and e.next <= reserve_span.last and e.available_at < 'infinity'
      order by e.last
      for update
    loop
      delete from ipam.free_extent e where e.extent_id = v_extent.extent_id;
      for v_part in
        select greatest(v_extent.next, reserve_span.first) as low, least(v_extent.last, reserve_span.last) as high
      loop
        insert into ipam.free_extent (vrf, pool_id, range_id, available_at, next, last, generation, last_owner_kind, last_owner_id)
        select
          v_extent.vrf, v_extent.pool_id, v_extent.range_id, piece.available_at, piece.next, piece.last, v_extent.generation,
          v_extent.last_owner_kind, v_extent.last_owner_id
        from (
          select v_extent.available_at, v_extent.next, v_part.low - 1 where v_extent.next < v_part.low
          union all
          select 'infinity', v_part.low, v_part.high
          union all
          select v_extent.available_at, v_part.high + 1, v_extent.last where v_part.high < v_extent.last
        ) piece (available_at, next, last);
        v_reserved := v_reserved + ipam.unit_count(v_part.low, v_part.high);
      end loop;
      v_changed := true;
    end loop;
    update ipam.allocation a
    set reserved = true
    where a.vrf = reserve_span.vrf and a.released_at is null and not a.reserved
      and a.unit >= reserve_span.first and a.unit <= reserve_span.last;
    v_changed := v_changed or found;
    -- The update may have waited for a release, and that leaves an extent that no look has seen yet.
    exit when not v_changed and not exists (
      select from ipam.free_extent e
      where e.vrf = reserve_span.vrf and e.pool_id = reserve_span.pool_id
        and e.last >= reserve_span.first and e.next <= reserve_span.last and e.available_at < 'infinity'
    );
  end loop;
  if v_reserved > 0 then
    perform ipam.count_units(reserve_span.vrf, reserve_span.pool_id, 0, v_reserved);
  end if;
end
$function$;
