-- Refuses lists of slots, pools and addresses that do not match each other, or that no pool can contain, and more than
-- 256 slots that are not all of one pool and for any address. Raises invalid_parameter_value (22023).
create or replace function ipam.check_slots(slots text[], pools text[], addresses inet[]) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
  if cardinality(pools) is distinct from cardinality(slots) or cardinality(addresses) <> cardinality(slots) then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'slots, pools and addresses: must be of equal length';
  end if;
  if array_ndims(pools) <> 1 or array_lower(pools, 1) <> 1
    or array_ndims(addresses) <> 1 or array_lower(addresses, 1) <> 1 then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'pools and addresses: must each be a list that begins at index 1';
  end if;
  if array_position(pools, null) is not null then
    raise exception using errcode = 'invalid_parameter_value', message = 'pool: must be given';
  end if;
  if cardinality(slots) > 256 and (
    cardinality(array_remove(pools, pools[1])) > 0 or cardinality(array_remove(addresses, null)) > 0
  ) then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'slots: more than 256 must be of one pool and without an address';
  end if;
  if exists (select from unnest(addresses) a where masklen(a) <> case family(a) when 4 then 32 else 128 end) then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'address: must be one address, without a prefix length';
  end if;
end
$function$;
