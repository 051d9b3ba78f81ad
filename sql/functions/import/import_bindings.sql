-- The VRFs to which address spaces of another system are bound, in the order of kind and id.
create or replace function ipam.import_bindings(source text) returns table (kind text, id text, vrf text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select b.kind, b.id, b.vrf
  from ipam.import_binding b
  where b.source = import_bindings.source
  order by b.kind, b.id;
$function$;
