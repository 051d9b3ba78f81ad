-- The unit before one; null before the first of its family, where it subtracts 0 (as ipam.unit_next adds).
create or replace function ipam.unit_prev(unit inet) returns inet
language sql immutable parallel safe
return nullif(unit - (unit > case family(unit) when 4 then '0.0.0.0'::inet else '::'::inet end)::int, unit);
