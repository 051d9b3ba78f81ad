-- The lowest held address whose successor is not held: that successor is allocated. The key is the id of the record, and is
-- looked up first. Callers who chose the same address, or have the same key, get a unique violation and try again.
create schema self_join;
create table self_join.address (key uuid primary key, ip inet not null unique);

create function self_join.allocate(p_key uuid) returns inet language plpgsql as $function$
declare
  v_first inet;
  v_size bigint;
  v_ip inet;
begin
  select a.ip into v_ip from self_join.address a where a.key = p_key;
  if found then
    return v_ip;
  end if;
  select first, size into strict v_first, v_size from public.peer_pool;
  if not exists (select from self_join.address a where a.ip = v_first) then
    v_ip := v_first;
  else
    select a.ip + 1 into v_ip
    from self_join.address a left join self_join.address b on b.ip = a.ip + 1
    where b.ip is null and a.ip < v_first + (v_size - 1)
    order by a.ip
    limit 1;
  end if;
  if v_ip is not null then
    insert into self_join.address (key, ip) values (p_key, v_ip);
  end if;
  return v_ip;
end
$function$;
