-- Creates a pool, and its VRF if it is the first pool there.
--
-- ranges, reserve: texts as ipam.parse_range reads them, of one family; the ranges must contain what is reserved.
-- gateway: `first`, `last`, `none` or an address, as in ipam.insert_ranges. cooldown_seconds: 0 for none.
-- include_network_addresses: as in ipam.insert_ranges. description: up to 1000 characters, not part of the definition.
-- Returns `created`; `exists` if the pool has the same definition; `pool_exists` if it has another one, with what
-- differs; `range_overlaps` with the other range.
-- Repeatable: with the same definition.
-- Safe: the constraints `pool_name` and `range_overlap` decide; of two concurrent calls, the second one waits for the
-- first and is told.
create or replace function ipam.create_pool(
  vrf text, name text, ranges text[], reserve text[] default '{}', gateway text default 'none',
  cooldown_seconds double precision default 0, include_network_addresses boolean default false,
  description text default null
) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_network_addresses boolean := coalesce(include_network_addresses, false);
  v_definition jsonb := jsonb_build_object(
    'ranges', (select jsonb_agg(p order by (p).first) from unnest(ranges) r, ipam.parse_range(r) p),
    'reserve', (
      select coalesce(jsonb_agg(distinct p), '[]') from unnest(coalesce(reserve, '{}')) r, ipam.parse_range(r) p
    ),
    'gateway', gateway, 'cooldown', cooldown_seconds, 'networkAddresses', v_network_addresses
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
  v_in_way jsonb;
begin
  perform ipam.check_isolation();
  perform ipam.check_pool(create_pool.vrf, create_pool.name, cooldown_seconds, create_pool.description);
  if cardinality(ranges) is distinct from greatest(cardinality(ranges), 1) or cardinality(v_families) <> 1 then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'ranges: must be at least one, and all of one family with reserve and gateway';
  end if;

  loop
    begin
      insert into ipam.vrf (vrf) values (create_pool.vrf) on conflict (vrf) do nothing;
      insert into ipam.pool (
        vrf, name, family, size, cooldown, gateway, include_network_addresses, definition, description
      )
      values (
        create_pool.vrf, create_pool.name, v_families[1], 0, make_interval(secs => cooldown_seconds),
        create_pool.gateway, v_network_addresses, v_definition, nullif(create_pool.description, '')
      )
      on conflict (vrf, name) where deleted_at is null do nothing
      returning * into v_pool;
      if v_pool.pool_id is not null then
        insert into ipam.pool_counter (vrf, pool_id, shard)
        select create_pool.vrf, v_pool.pool_id, n
        from generate_series(0, 63) n;
        v_in_way := ipam.insert_ranges(
          create_pool.vrf, v_pool.pool_id, ranges, create_pool.gateway, v_network_addresses
        );
        if v_in_way is not null then
          raise sqlstate 'IP004';
        end if;
        if reserve <> '{}' and ipam.insert_reservations(create_pool.vrf, v_pool.pool_id, reserve) is null then
          raise exception using errcode = 'invalid_parameter_value', message = 'reserve: lies in no range of the pool';
        end if;
        perform ipam.pool_changed(create_pool.vrf, v_pool.pool_id);
        update ipam.pool p set revision = 1 where p.vrf = create_pool.vrf and p.pool_id = v_pool.pool_id;
        return ipam.pool_answer_for('created', create_pool.vrf, v_pool.pool_id, v_pool.name);
      end if;
    exception
      when sqlstate 'IP004' then
        return ipam.pool_answer_for('range_overlaps', create_pool.vrf, null, create_pool.name, v_in_way);
    end;

    -- If that pool was deleted meanwhile, this one may be created.
    select p.* into v_pool
    from ipam.pool p
    where p.vrf = create_pool.vrf and p.name = create_pool.name and p.deleted_at is null;
    continue when not found;
    return ipam.pool_answer_for(
      case when v_pool.definition = v_definition then 'exists' else 'pool_exists' end, create_pool.vrf, v_pool.pool_id,
      v_pool.name,
      jsonb_build_object('differs', (
        select coalesce(jsonb_agg(d.key order by d.key), '[]')
        from jsonb_each(v_definition) d
        where v_pool.definition -> d.key is distinct from d.value
      ))
    );
  end loop;
end
$function$;
