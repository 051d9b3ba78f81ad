-- The IPv6 address that a number is: the inverse of ipam.address_number.
create or replace function ipam.number_address(number numeric) returns inet
language sql immutable parallel safe
return (
  select string_agg(to_hex((div(number, round(65536::numeric ^ (7 - i))) % 65536)::int), ':' order by i)::inet
  from generate_series(0, 7) i
);
