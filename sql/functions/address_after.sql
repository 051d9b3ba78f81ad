-- The address `distance` addresses on; `inet + bigint` alone ends at 2^63.
create or replace function ipam.address_after(address inet, distance numeric) returns inet
language sql immutable parallel safe
return case
  when distance < 4611686018427387904 then address + distance::bigint
  else ipam.number_address(ipam.address_number(address) + distance)
end;
