-- The row of the pool is locked; it has the number of free addresses, and a floor below which none is free. The first free
-- address from the floor on is allocated. There is no key.
create schema pool_row_lock;
create table pool_row_lock.address (ip inet primary key, key uuid not null);
create table pool_row_lock.pool (floor inet not null, last inet not null, free bigint not null);

create function pool_row_lock.allocate(p_key uuid) returns inet language plpgsql as $function$
declare
  v_pool pool_row_lock.pool;
  v_ip inet;
begin
  select * into strict v_pool from pool_row_lock.pool for update;
  if v_pool.free = 0 then
    return null;
  end if;
  v_ip := v_pool.floor;
  if exists (select from pool_row_lock.address a where a.ip = v_ip) then
    select a.ip + 1 into strict v_ip
    from pool_row_lock.address a
    where a.ip >= v_pool.floor and a.ip < v_pool.last
      and not exists (select from pool_row_lock.address b where b.ip = a.ip + 1)
    order by a.ip
    limit 1;
  end if;
  insert into pool_row_lock.address (ip, key) values (v_ip, p_key);
  update pool_row_lock.pool set floor = v_ip + 1, free = free - 1;
  return v_ip;
end
$function$;
