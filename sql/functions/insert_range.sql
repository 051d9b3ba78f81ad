-- Adds one range to a pool: the range, what RFC and gateway reserve of it, and its free extents. Under the lock of the VRF.
--
-- Comes back: null, or the range that is in its way.
-- Reserved unless include_network_addresses: network and broadcast of an IPv4 CIDR down to /30, and the subnet-router anycast
-- address of an IPv6 CIDR down to /126 (RFC 4291 2.6.1); both addresses of a /31 (RFC 3021) and of a /127 (RFC 6164) are usable.
create or replace function ipam.insert_range(
  vrf text, pool_id bigint, range text, gateway text, include_network_addresses boolean
) returns jsonb
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_range record;
  v_gateway inet;
  v_bounded boolean;
  v_range_id bigint;
  v_in_way jsonb;
  v_floor bigint;
begin
  select * into v_range from ipam.parse_range(insert_range.range);
  select jsonb_build_object('vrf', r.vrf, 'pool', p.name, 'first', host(r.first), 'last', host(r.last)) into v_in_way
  from ipam.range r join ipam.pool p on p.vrf = r.vrf and p.pool_id = r.pool_id
  where r.vrf = insert_range.vrf and ipam.inet_range(r.first, r.last, '[]') && ipam.inet_range(v_range.first, v_range.last, '[]')
  order by r.first
  limit 1;
  if v_in_way is not null then
    return v_in_way;
  end if;

  v_bounded := v_range.prefix_length <= case family(v_range.first) when 4 then 30 else 126 end;
  v_gateway := case gateway
    when 'none' then null
    when 'first' then v_range.first + v_bounded::int
    when 'last' then v_range.last - (v_bounded and family(v_range.first) = 4)::int
    else gateway::inet
  end;
  if v_range.prefix_length is not null and v_gateway not between v_range.first and v_range.last then
    v_gateway := null;
  end if;
  insert into ipam.range (vrf, pool_id, first, last, prefix_length, gateway)
  values (insert_range.vrf, insert_range.pool_id, v_range.first, v_range.last, v_range.prefix_length, v_gateway)
  returning range_id into v_range_id;
  update ipam.pool p
  set size = p.size + ipam.unit_count(v_range.first, v_range.last)
  where p.vrf = insert_range.vrf and p.pool_id = insert_range.pool_id;

  select v.generation_floor into v_floor from ipam.vrf v where v.vrf = insert_range.vrf;
  perform ipam.cut_free(insert_range.vrf, insert_range.pool_id, v_range_id, v_range.first, v_range.last, v_floor, 64);
  if v_bounded and not include_network_addresses then
    perform ipam.reserve_span(insert_range.vrf, insert_range.pool_id, v_range.first, v_range.first, 'network');
    if family(v_range.first) = 4 then
      perform ipam.reserve_span(insert_range.vrf, insert_range.pool_id, v_range.last, v_range.last, 'network');
    end if;
  end if;
  if v_gateway between v_range.first and v_range.last then
    perform ipam.reserve_span(insert_range.vrf, insert_range.pool_id, v_gateway, v_gateway, 'gateway');
  end if;
  return null;
end
$function$;
