-- How many addresses first..last holds, both inclusive. `inet - inet` is a bigint and overflows above 2^63, so the two halves of
-- an IPv6 address are subtracted apart.
create or replace function ipam.unit_count(first inet, last inet) returns numeric
language sql immutable parallel safe
return case
  when first > last then 0
  when family(first) = 4 then (last - first)::numeric + 1
  else ipam.address_number(last) - ipam.address_number(first) + 1
end;
