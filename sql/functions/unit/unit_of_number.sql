-- The IPv6 unit that has this many units below it: the inverse of ipam.unit_number.
create or replace function ipam.unit_of_number(number numeric) returns inet
language sql immutable parallel safe
return (
  select string_agg(to_hex((div(number, round(65536::numeric ^ (7 - i))) % 65536)::int), ':' order by i)::inet
  from generate_series(0, 7) i
);
