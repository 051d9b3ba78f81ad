-- Binds address spaces of another system to VRFs, unless they are bound already: the first binding stays.
--
-- source: the other system. kinds, ids, vrfs: of equal length. Returns every binding of the source, as
-- ipam.import_bindings does.
-- Repeatable. Safe: of two concurrent calls, the second one waits for the first and returns its bindings.
create or replace function ipam.bind_import(source text, kinds text[], ids text[], vrfs text[])
returns table (kind text, id text, vrf text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_isolation();
  insert into ipam.import_binding (source, kind, id, vrf)
  select bind_import.source, b.kind, b.id, b.vrf
  from unnest(kinds, ids, vrfs) b (kind, id, vrf)
  order by b.kind, b.id
  on conflict (source, kind, id) do nothing;
  return query select b.* from ipam.import_bindings(bind_import.source) b;
end
$function$;
