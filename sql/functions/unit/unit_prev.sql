-- The unit before a unit; null before the first one of the family. Safe and inlined, like ipam.unit_next.
create or replace function ipam.unit_prev(unit inet) returns inet
language sql immutable parallel safe
return nullif(unit - (unit not in ('0.0.0.0', '::'))::int, unit);
