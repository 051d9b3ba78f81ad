-- An address as a number: its bytes, the first one largest. Exact for both families.
create or replace function ipam.address_number(address inet) returns numeric
language sql immutable parallel safe
return (
  select round(sum(get_byte(bytes.b, i) * 256::numeric ^ (length(bytes.b) - 1 - i)))
  from (select substr(inet_send(address), 5) as b) bytes, generate_series(0, length(bytes.b) - 1) i
);
