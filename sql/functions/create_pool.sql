-- Makes a pool, and its VRF if it is the first one there.
--
-- ranges, reserve: texts as ipam.parse_range reads them, of one family; what is reserved must lie in one of the ranges.
-- gateway: `first`, `last`, `none` or an address, which must lie in one of the ranges unless one is no prefix; reserved where a
-- range holds it. cooldown_seconds: 0 for none.
-- Comes back: `created`; `exists` for the same definition again; `pool_exists` for another one of that name; `range_overlaps`.
-- Safe: changes of pools in one VRF wait for each other on its row.
create or replace function ipam.create_pool(
  vrf text, name text, ranges text[], reserve text[] default '{}', gateway text default 'none',
  cooldown_seconds double precision default 0, include_network_addresses boolean default false
) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $function$
#variable_conflict use_column
declare
  v_definition jsonb := jsonb_build_object(
    'ranges', (select jsonb_agg(p order by (p).first) from unnest(ranges) r, ipam.parse_range(r) p),
    'reserve', (select coalesce(jsonb_agg(distinct p), '[]') from unnest(coalesce(reserve, '{}')) r, ipam.parse_range(r) p),
    'gateway', gateway, 'cooldown', cooldown_seconds, 'networkAddresses', include_network_addresses
  );
  v_families int[] := array(
    select distinct f.family
    from (
      select family(p.first) from unnest(ranges || coalesce(reserve, '{}')) r, ipam.parse_range(r) p
      union all
      select family((case when create_pool.gateway not in ('first', 'last', 'none') then create_pool.gateway end)::inet)
    ) f (family)
    where f.family is not null
  );
  v_pool ipam.pool;
  v_range text;
  v_in_way jsonb;
begin
  perform ipam.check_request(create_pool.vrf, 'ffffffff-ffff-ffff-ffff-ffffffffffff', array['default']);
  if cardinality(ranges) is distinct from greatest(cardinality(ranges), 1) or cardinality(v_families) <> 1 then
    raise exception using errcode = 'invalid_parameter_value', message = 'ranges: must be at least one, and all of one family with reserve and gateway';
  end if;
  if (cooldown_seconds between 0 and 3155760000) is not true then
    raise exception using errcode = 'invalid_parameter_value', message = 'cooldown_seconds: must be 0 to a hundred years';
  end if;
  if (char_length(create_pool.name) between 1 and 200) is not true or create_pool.name ~ '^[0-9]+$' then
    raise exception using errcode = 'invalid_parameter_value', message = 'name: must have 1 to 200 characters, not only digits';
  end if;
  insert into ipam.vrf (vrf) values (create_pool.vrf) on conflict (vrf) do nothing;
  perform from ipam.vrf v where v.vrf = create_pool.vrf for update;

  select p.* into v_pool from ipam.pool p where p.vrf = create_pool.vrf and p.name = create_pool.name and p.deleted_at is null;
  if found then
    return ipam.pool_answer_for(
      case when v_pool.definition = v_definition then 'exists' else 'pool_exists' end, create_pool.vrf, v_pool.pool_id, v_pool.name
    );
  end if;

  begin
    insert into ipam.pool (vrf, name, family, size, cooldown, gateway, include_network_addresses, definition)
    values (
      create_pool.vrf, create_pool.name, v_families[1], 0, make_interval(secs => cooldown_seconds), create_pool.gateway,
      create_pool.include_network_addresses, v_definition
    )
    returning * into v_pool;
    insert into ipam.pool_counter (vrf, pool_id, shard) select create_pool.vrf, v_pool.pool_id, n from generate_series(0, 63) n;
    foreach v_range in array ranges loop
      v_in_way := ipam.insert_range(create_pool.vrf, v_pool.pool_id, v_range, create_pool.gateway, create_pool.include_network_addresses);
      if v_in_way is not null then
        raise exception using errcode = 'IP004', message = 'overlap', detail = v_in_way;
      end if;
    end loop;
    if create_pool.gateway not in ('first', 'last', 'none') and not exists (
      select from ipam.range r
      where r.vrf = create_pool.vrf and r.pool_id = v_pool.pool_id and r.gateway = create_pool.gateway::inet
    ) then
      raise exception using errcode = 'invalid_parameter_value', message = format('gateway: %s lies in no range of the pool', create_pool.gateway);
    end if;
    foreach v_range in array coalesce(reserve, '{}') loop
      if not ipam.reserve_in_pool(create_pool.vrf, v_pool.pool_id, v_range) then
        raise exception using errcode = 'invalid_parameter_value', message = format('reserve: %s lies in no range of the pool', v_range);
      end if;
    end loop;
    perform ipam.set_spread(create_pool.vrf, v_pool.pool_id);
  exception
    when sqlstate 'IP004' then
      return ipam.pool_answer_for('range_overlaps', create_pool.vrf, null, create_pool.name, v_in_way);
  end;
  return ipam.pool_answer_for('created', create_pool.vrf, v_pool.pool_id, v_pool.name);
end
$function$;
