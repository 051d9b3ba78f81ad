-- Every address of the pool is a row from the start. The first free one that no other transaction has locked is allocated. The
-- key is the holder in the row, and is looked up first; it is not unique.
create schema row_per_address;
create table row_per_address.address (ip inet primary key, key uuid);
create index address_free on row_per_address.address (ip) where key is null;
create index address_key on row_per_address.address (key) where key is not null;

create function row_per_address.allocate(p_key uuid) returns inet language plpgsql as $function$
declare
  v_ip inet;
begin
  select a.ip into v_ip from row_per_address.address a where a.key = p_key limit 1;
  if found then
    return v_ip;
  end if;
  select a.ip into v_ip
  from row_per_address.address a
  where a.key is null
  order by a.ip
  limit 1
  for update skip locked;
  update row_per_address.address a set key = p_key where a.ip = v_ip;
  return v_ip;
end
$function$;
