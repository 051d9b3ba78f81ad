-- All addresses of the pool, joined with those that are held: the lowest without a match is allocated. A caller whose address
-- was chosen by another one meanwhile gets a unique violation and tries again. The key is the id of the record; for a known
-- key, its own address is a candidate too, and any other choice is refused.
create schema left_join;
create table left_join.address (key uuid primary key, ip inet not null unique);

create function left_join.allocate(p_key uuid) returns inet language plpgsql as $function$
declare
  v_first inet;
  v_size bigint;
  v_ip inet;
begin
  select first, size into strict v_first, v_size from public.peer_pool;
  with candidate as (
    select v_first + n as ip
    from generate_series(0, v_size - 1) n left join left_join.address a on a.ip = v_first + n
    where a.ip is null or a.key = p_key
    order by n
    limit 1
  )
  insert into left_join.address (key, ip)
  select p_key, c.ip
  from candidate c
  where c.ip = coalesce((select a.ip from left_join.address a where a.key = p_key), c.ip)
  on conflict (key) do update set ip = excluded.ip
  returning ip into v_ip;
  return v_ip;
end
$function$;
