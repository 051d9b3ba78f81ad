-- The unit that lies `distance` units after another one; null past the end of the family. `inet + bigint` alone ends at
-- 2^63.
create or replace function ipam.unit_after(unit inet, distance numeric) returns inet
language sql immutable parallel safe
return case
  when distance + ipam.unit_number(unit)
    >= case family(unit) when 4 then 4294967296 else 340282366920938463463374607431768211456 end then null
  when distance < 4611686018427387904 then unit + distance::bigint
  else ipam.unit_of_number(ipam.unit_number(unit) + distance)
end;
