-- The VRFs that know a target of this kind and id, in order. If there are several, its name alone is ambiguous.
--
-- Cost: one index probe for each VRF, however long its history is.
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
