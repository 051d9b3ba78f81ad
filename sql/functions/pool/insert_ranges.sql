-- Adds ranges to a pool that the caller has locked or created: the ranges, what the RFCs and the gateway reserve of
-- them, and their extents.
--
-- ranges: texts as ipam.parse_range reads them. gateway: `first`, `last`, `none`, or an address, which becomes the
-- gateway of the range that contains it; it may lie outside if there is only one range and that is no prefix.
-- include_network_addresses: if false, this reserves the network and broadcast addresses of an IPv4 prefix of at most
-- 30 bits, and the subnet-router anycast address of an IPv6 prefix of at most 126 bits (RFC 4291, 2.6.1); both
-- addresses of a /31 (RFC 3021) and of a /127 (RFC 6164) are usable.
-- Returns null, or a range that overlaps one of them, and then nothing was written.
-- Safe: the constraint `range_overlap` decides, and waits for concurrent changes of ranges there. The generation floor
-- and the parked extents are read only afterwards, in a new snapshot: by then, what a removal left of these units is
-- committed.
create or replace function ipam.insert_ranges(
  vrf text, pool_id bigint, ranges text[], gateway text, include_network_addresses boolean
) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_in_way jsonb;
  v_range_ids bigint[];
begin
  if insert_ranges.gateway <> 'none' and not exists (
    select
    from unnest(ranges) t (range) cross join lateral ipam.parse_range(t.range) r
    where ipam.gateway_of(insert_ranges.gateway, r.first, r.last, r.prefix_length, cardinality(ranges) = 1) is not null
  ) then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('gateway: %s lies in no range', insert_ranges.gateway);
  end if;

  loop
    -- What overlaps one of them: an existing range, or another one of the list.
    with wanted as (
      select
        r.first, r.last, lag(r.first) over (order by r.first) as before_first,
        lag(r.last) over (order by r.first) as before_last
      from unnest(ranges) t (range) cross join lateral ipam.parse_range(t.range) r
    )

    select coalesce(
      (
        select jsonb_build_object('vrf', r.vrf, 'pool', p.name, 'first', host(r.first), 'last', host(r.last))
        from wanted w
          join ipam.range r
            on r.vrf = insert_ranges.vrf
              and ipam.inet_range(r.first, r.last, '[]') && ipam.inet_range(w.first, w.last, '[]')
          join ipam.pool p on p.vrf = r.vrf and p.pool_id = r.pool_id
        order by r.first
        limit 1
      ),
      (
        select jsonb_build_object(
          'vrf', p.vrf, 'pool', p.name, 'first', host(w.before_first), 'last', host(w.before_last)
        )
        from wanted w join ipam.pool p on p.vrf = insert_ranges.vrf and p.pool_id = insert_ranges.pool_id
        where w.first <= w.before_last
        order by w.first
        limit 1
      )
    ) into v_in_way;
    if v_in_way is not null then
      return v_in_way;
    end if;

    begin
      with wanted as (
        select r.first, r.last, r.prefix_length
        from unnest(ranges) t (range) cross join lateral ipam.parse_range(t.range) r
      ),

      inserted as (
        insert into ipam.range (vrf, pool_id, first, last, prefix_length, gateway, draining)
        select
          insert_ranges.vrf, insert_ranges.pool_id, w.first, w.last, w.prefix_length,
          ipam.gateway_of(insert_ranges.gateway, w.first, w.last, w.prefix_length, cardinality(ranges) = 1),
          (select p.draining from ipam.pool p where p.vrf = insert_ranges.vrf and p.pool_id = insert_ranges.pool_id)
        from wanted w
        order by w.first
        returning range_id
      )

      select array_agg(inserted.range_id) into v_range_ids from inserted;
      exit;
    exception
      -- A concurrent call came first: the next attempt sees its range.
      when exclusion_violation then null;
    end;
  end loop;

  perform ipam.open_extents(insert_ranges.vrf, insert_ranges.pool_id, v_range_ids);
  insert into ipam.reservation (vrf, pool_id, first, last, kind)
  select insert_ranges.vrf, insert_ranges.pool_id, n.unit, n.unit, n.kind
  from ipam.range r
    cross join lateral (
      select r.first, 'network'
      where not include_network_addresses and ipam.is_bounded(r.first, r.prefix_length)
      union all
      select r.last, 'network'
      where not include_network_addresses and ipam.is_bounded(r.first, r.prefix_length) and family(r.first) = 4
      union all
      select r.gateway, 'gateway' where r.gateway between r.first and r.last
    ) n (unit, kind)
  where r.vrf = insert_ranges.vrf and r.range_id = any (v_range_ids)
  on conflict (vrf, pool_id, first, last, kind) do nothing;

  perform ipam.settle_covers(
    insert_ranges.vrf, insert_ranges.pool_id, array_agg(r.first::inet order by r.first),
    array_agg(r.last::inet order by r.first)
  )
  from ipam.range r
  where r.vrf = insert_ranges.vrf and r.range_id = any (v_range_ids);
  return null;
end
$function$;
