-- Changes the name, cooldown, gateway or description of a pool; null leaves it as it is.
--
-- name: free in its VRF. cooldown_seconds: for releases from now on; a running cooldown keeps its end. gateway: as in
-- ipam.create_pool; the reservation of the old one is removed unless somebody requested it. description: empty for
-- none.
-- Returns `updated`, also if nothing changed; `pool_exists` if the name is in use; `unknown_pool`.
-- Repeatable by the id of the pool. Safe: see ipam.settle_covers.
create or replace function ipam.update_pool(
  vrf text, pool text, name text default null, cooldown_seconds double precision default null,
  gateway text default null, description text default null
) returns ipam.pool_answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_pool_id bigint := ipam.lock_pool(update_pool.vrf, update_pool.pool);
  v_only boolean;
begin
  if v_pool_id is null then
    return ipam.unknown_pool(update_pool.vrf, update_pool.pool);
  end if;
  perform ipam.check_pool(
    update_pool.vrf, coalesce(update_pool.name, 'unchanged'), coalesce(update_pool.cooldown_seconds, 0),
    update_pool.description
  );
  select count(*) = 1 into v_only from ipam.range r where r.vrf = update_pool.vrf and r.pool_id = v_pool_id;
  if update_pool.gateway <> 'none' and not exists (
    select from ipam.range r
    where r.vrf = update_pool.vrf and r.pool_id = v_pool_id
      and ipam.gateway_of(update_pool.gateway, r.first, r.last, r.prefix_length, v_only) is not null
  ) then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('gateway: %s lies in no range of the pool', update_pool.gateway);
  end if;

  begin
    update ipam.pool p
    set
      name = coalesce(update_pool.name, p.name),
      cooldown = coalesce(make_interval(secs => update_pool.cooldown_seconds), p.cooldown),
      gateway = coalesce(update_pool.gateway, p.gateway),
      description = case
        when update_pool.description is null then p.description
        else nullif(update_pool.description, '')
      end,
      -- So that creating the pool again as it is now returns it.
      definition = p.definition
        || jsonb_strip_nulls(
          jsonb_build_object('cooldown', update_pool.cooldown_seconds, 'gateway', update_pool.gateway)
        ),
      revision = p.revision + 1
    where p.vrf = update_pool.vrf and p.pool_id = v_pool_id;
  exception
    when unique_violation then
      return ipam.pool_answer_for('pool_exists', update_pool.vrf, v_pool_id, update_pool.pool);
  end;

  if update_pool.gateway is not null then
    delete from ipam.reservation s where s.vrf = update_pool.vrf and s.pool_id = v_pool_id and s.kind = 'gateway';
    update ipam.range r
    set
      gateway = ipam.gateway_of(update_pool.gateway, r.first, r.last, r.prefix_length, v_only),
      revision = r.revision + 1
    where r.vrf = update_pool.vrf and r.pool_id = v_pool_id;
    insert into ipam.reservation (vrf, pool_id, first, last, kind)
    select r.vrf, r.pool_id, r.gateway, r.gateway, 'gateway'
    from ipam.range r
    where r.vrf = update_pool.vrf and r.pool_id = v_pool_id and r.gateway between r.first and r.last
    on conflict (vrf, pool_id, first, last, kind) do nothing;
    perform ipam.settle_pool(update_pool.vrf, v_pool_id);
  end if;
  return ipam.pool_answer_for('updated', update_pool.vrf, v_pool_id, update_pool.pool);
end
$function$;
