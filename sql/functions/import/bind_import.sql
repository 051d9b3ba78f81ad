-- Binds address spaces of another system to VRFs, unless they are bound already: the first binding stays.
--
-- source: which system. kinds, ids, vrfs: alike long. Comes back: every binding of the source, as ipam.import_bindings.
-- Repeatable. Safe: who comes second waits for the first, and gets the first one's bindings.
create or replace function ipam.bind_import(source text, kinds text[], ids text[], vrfs text[])
returns table (kind text, id text, vrf text)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  perform ipam.check_request('default', 'ffffffff-ffff-ffff-ffff-ffffffffffff', array['default']);
  insert into ipam.import_binding (source, kind, id, vrf)
  select bind_import.source, b.kind, b.id, b.vrf
  from unnest(kinds, ids, vrfs) b (kind, id, vrf)
  order by b.kind, b.id
  on conflict (source, kind, id) do nothing;
  return query select b.* from ipam.import_bindings(bind_import.source) b;
end
$function$;
