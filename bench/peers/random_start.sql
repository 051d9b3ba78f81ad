-- The first free address from a random one on, and from the beginning of the pool if there is none. There is no key.
create schema random_start;
create table random_start.address (ip inet primary key, key uuid not null);

-- The first free address of a span; null if there is none.
create function random_start.gap(p_from inet, p_to inet) returns inet language plpgsql as $function$
declare
  v_ip inet;
begin
  if not exists (select from random_start.address a where a.ip = p_from) then
    return p_from;
  end if;
  select a.ip + 1 into v_ip
  from random_start.address a
  where a.ip >= p_from and a.ip < p_to
    and not exists (select from random_start.address b where b.ip = a.ip + 1)
  order by a.ip
  limit 1;
  return v_ip;
end
$function$;

create function random_start.allocate(p_key uuid) returns inet language plpgsql as $function$
declare
  v_first inet;
  v_size bigint;
  v_ip inet;
begin
  select first, size into strict v_first, v_size from public.peer_pool;
  v_ip := random_start.gap(v_first + floor(random() * v_size)::bigint, v_first + (v_size - 1));
  v_ip := coalesce(v_ip, random_start.gap(v_first, v_first + (v_size - 1)));
  if v_ip is not null then
    insert into random_start.address (ip, key) values (v_ip, p_key);
  end if;
  return v_ip;
end
$function$;
