-- The VRFs that know an object of this kind and id, as the target of an operation or as the owner of something held, in
-- order. If there are several, its name alone is ambiguous.
--
-- Cost: two index probes for each VRF.
create or replace function ipam.identity_vrfs(kind text, id text) returns setof text
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select t.vrf from ipam.target_vrfs(identity_vrfs.kind, identity_vrfs.id) t (vrf)
  union
  select v.vrf
  from ipam.vrf v
  where exists (
    select
    from ipam.allocation a
    where a.owner_kind = identity_vrfs.kind and a.owner_id = identity_vrfs.id and a.vrf = v.vrf
      and a.released_at is null
  )
  order by 1;
$function$;
