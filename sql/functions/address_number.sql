-- An IPv6 address as a number: its eight groups, of 16 bits each.
create or replace function ipam.address_number(address inet) returns numeric
language sql immutable parallel safe
return (
  select sum((get_byte(b, i)::numeric) * (256::numeric ^ (15 - i)))
  from (select substr(inet_send(set_masklen(address, 128)), 5) as b) bytes, generate_series(0, 15) i
);
