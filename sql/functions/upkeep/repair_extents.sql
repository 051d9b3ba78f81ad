-- Makes the extents of a pool disjoint, inside its ranges, and clear of what is held. For ipam.repair alone, which
-- holds the row of the pool.
--
-- Returns how many extents were out of order, outside of their range, overlapping, and containing something held.
-- Raises lock_not_available (55P03) after 10 seconds.
-- Safe: by the argument of ipam.settle_covers. However many covers a unit has, whoever allocates or releases it locks
-- one of them and leaves another in its place, and until the commit the old one is seen. So if one statement with one
-- snapshot finds no unit with two covers, there is none until the commit. It locks what it finds, including the
-- allocations inside of an extent, so that no release is about to create an extent where one is removed.
-- Kept (I6, I13): a unit keeps the longest cooldown and the largest generation of its extents; outside of every range,
-- the cooldown is parked and the generation raises the floor of the VRF.
-- Cost: an index probe for each extent, and the repairs.
create or replace function ipam.repair_extents(
  vrf text, pool_id bigint, out disordered bigint, out outside bigint, out overlapping bigint, out held bigint
)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_deadline timestamptz := clock_timestamp() + interval '10 seconds';
  v_found record;
  v_extent record;
  v_cluster bigint;
  v_floor bigint;
  v_held ipam.inet_multirange;
  v_given ipam.inet_multirange;
  v_span ipam.inet_multirange;
begin
  loop
    begin
      perform set_config('lock_timeout', '50ms', true);
      disordered := 0;
      outside := 0;
      overlapping := 0;
      held := 0;
      v_floor := null;
      loop
        with extent as (
          select
            e.extent_id, e.next, e.last,
            max(e.last) over (order by e.next, e.last rows between unbounded preceding and 1 preceding) as reach
          from ipam.free_extent e
          where e.vrf = repair_extents.vrf and e.pool_id = repair_extents.pool_id
        ),

        -- A cluster is a set of extents that overlap each other; most clusters have one extent.
        clustered as (
          select
            e.*,
            count(*) filter (where (e.next <= e.reach) is not true) over (
              order by e.next, e.last rows unbounded preceding
            ) as cluster
          from extent e
        ),

        checked as (
          select
            c.extent_id, c.cluster, c.next, c.next > c.last as disordered, home.last is null as outside,
            c.next <= c.reach as overlapping,
            exists (
              select
              from ipam.allocation a
              where a.vrf = repair_extents.vrf and a.unit >= c.next and a.unit <= c.last and a.released_at is null
            ) as held
          from clustered c
            left join lateral (
              select r.last
              from ipam.range r
              where r.vrf = repair_extents.vrf and r.pool_id = repair_extents.pool_id and r.first <= c.next
              order by r.first desc
              limit 1
            ) home on home.last >= c.last
        ),

        wrong as (
          select w.*
          from checked w
          where w.cluster in (
            select b.cluster from checked b where b.disordered or b.outside or b.overlapping or b.held
          )
        )

        select
          array_agg(w.extent_id order by w.next) as extent_ids, array_agg(w.cluster order by w.next) as clusters,
          count(*) filter (where w.disordered) as disordered,
          count(*) filter (where w.outside and not w.disordered) as outside,
          count(*) filter (where w.overlapping) as overlapping, count(*) filter (where w.held) as held
        into v_found
        from wrong w;
        exit when v_found.extent_ids is null;
        disordered := disordered + v_found.disordered;
        outside := outside + v_found.outside;
        overlapping := overlapping + v_found.overlapping;
        held := held + v_found.held;

        v_cluster := null;
        perform from ipam.free_extent e where e.extent_id = any (v_found.extent_ids) order by e.last for update;
        for v_extent in
          select
            w.cluster, e.*, max(e.generation) over (partition by w.cluster) as largest_generation,
            ipam.cooldown_end(e.available_at, e.cooling_until) as until
          from unnest(v_found.extent_ids, v_found.clusters) w (extent_id, cluster)
            join ipam.free_extent e on e.extent_id = w.extent_id
          order by w.cluster, until desc, e.extent_id
        loop
          delete from ipam.free_extent e where e.extent_id = v_extent.extent_id;
          v_floor := greatest(v_floor, v_extent.generation);
          if v_cluster is distinct from v_extent.cluster then
            v_cluster := v_extent.cluster;
            v_given := '{}';
          end if;
          continue when v_extent.next > v_extent.last;

          with holder as materialized (
            select a.unit
            from ipam.allocation a
            where a.vrf = repair_extents.vrf and a.unit >= v_extent.next and a.unit <= v_extent.last
              and a.released_at is null
            for no key update
          )
          select coalesce(range_agg(ipam.unit_span(h.unit, h.unit)), '{}') into v_held from holder h;
          v_span := ipam.inet_multirange(ipam.unit_span(v_extent.next, v_extent.last));

          with home as materialized (
            select r.range_id, r.draining, ipam.inet_multirange(ipam.unit_span(r.first, r.last)) * v_span as spans
            from ipam.range r
            where r.vrf = repair_extents.vrf and r.pool_id = repair_extents.pool_id
              and ipam.inet_range(r.first, r.last, '[]') && ipam.inet_range(v_extent.next, v_extent.last, '[]')
          ),

          parked as (
            insert into ipam.parked_extent (vrf, first, last, available_at, last_owner_kind, last_owner_id)
            select
              v_extent.vrf, lower(piece.span), coalesce(ipam.unit_prev(upper(piece.span)), v_extent.last),
              v_extent.until, v_extent.last_owner_kind, v_extent.last_owner_id
            from unnest(
              v_span - v_held - coalesce((select range_agg(s.span) from home h, unnest(h.spans) s (span)), '{}')
            ) piece (span)
            where v_extent.until > clock_timestamp()
          )

          insert into ipam.free_extent (
            vrf, pool_id, range_id, available_at, cooling_until, next, last, generation, last_owner_kind, last_owner_id,
            draining
          )
          select
            v_extent.vrf, v_extent.pool_id, h.range_id, v_extent.available_at, v_extent.cooling_until,
            lower(piece.span), coalesce(ipam.unit_prev(upper(piece.span)), v_extent.last), v_extent.largest_generation,
            v_extent.last_owner_kind, v_extent.last_owner_id, h.draining
          from home h cross join lateral unnest(h.spans - v_given - v_held) piece (span);
          v_given := v_given + v_span;
        end loop;
      end loop;
      update ipam.vrf v
      set generation_floor = v_floor
      where v.vrf = repair_extents.vrf and v.generation_floor < v_floor;
      return;
    exception
      when lock_not_available then
        null;
    end;
    if clock_timestamp() > v_deadline then
      raise exception using errcode = 'lock_not_available',
        message = 'the repair waited 10 seconds for allocations and releases in flight', detail = 'nothing was changed';
    end if;
  end loop;
end
$function$;
