-- The VRFs that know a target of this kind and id, in order: more than one, and its name alone says nothing.
-- Cost: one index probe a VRF, at any length of its history.
create or replace function ipam.target_vrfs(kind text, id text) returns setof text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  with recursive found (vrf) as (
    (
      select t.vrf
      from ipam.operation_target t
      where t.kind = target_vrfs.kind and t.id = target_vrfs.id
      order by t.vrf
      limit 1
    )
    union all
    select (
      select t.vrf
      from ipam.operation_target t
      where t.kind = target_vrfs.kind and t.id = target_vrfs.id and t.vrf > found.vrf
      order by t.vrf
      limit 1
    )
    from found
    where found.vrf is not null
  )
  select found.vrf::text from found where found.vrf is not null;
$function$;
