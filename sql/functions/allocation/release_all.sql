-- Releases every slot that a request has. It does not fence slots that it has not seen: one that is allocated later is
-- held, so a compensation names its slots and calls ipam.release_many.
--
-- Returns one row a slot, in the order of slots; no row for a request never seen.
create or replace function ipam.release_all(vrf text, request_id uuid) returns setof ipam.answer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_slots text[];
begin
  perform ipam.check_key(release_all.vrf, release_all.request_id);
  v_slots := array(
    select a.slot::text from ipam.allocation a
    where a.vrf = release_all.vrf and a.request_id = release_all.request_id
    order by a.slot
  );
  for v_chunk in 0 .. (cardinality(v_slots) - 1) / 65536 loop
    exit when cardinality(v_slots) = 0;
    return query
    select *
    from ipam.release_many(
      release_all.vrf, release_all.request_id, v_slots[v_chunk * 65536 + 1 : v_chunk * 65536 + 65536]
    );
  end loop;
end
$function$;
