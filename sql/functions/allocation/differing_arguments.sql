-- Which arguments of a repeated allocate are not those of the first call. "address" also where only one of them named
-- one.
create or replace function ipam.differing_arguments(
  previous ipam.allocation, pool_id bigint, address inet, owner_kind text, owner_id text
) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
begin
  return array_remove(array[
    case when previous.pool_id is distinct from differing_arguments.pool_id then 'pool' end,
    case when previous.owner_kind is distinct from differing_arguments.owner_kind
      or previous.owner_id is distinct from differing_arguments.owner_id then 'owner' end,
    case when previous.fingerprint <> ipam.fingerprint(
      previous.pool_id, differing_arguments.address, previous.owner_kind, previous.owner_id
    ) then 'address' end
  ], null);
end
$function$;
