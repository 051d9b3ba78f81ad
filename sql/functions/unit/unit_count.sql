-- The number of units in first..last, both inclusive; 0 if first lies after last. Exact up to a whole family, where
-- `inet - inet` ends at 2^63. Inlined, like ipam.unit_next.
create or replace function ipam.unit_count(first inet, last inet) returns numeric
language sql immutable parallel safe
return case when first > last then 0 else ipam.unit_number(last) - ipam.unit_number(first) + 1 end;
