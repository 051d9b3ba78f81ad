-- The unit before one; null before the first of its family. Safe, and inlined, as ipam.unit_next.
create or replace function ipam.unit_prev(unit inet) returns inet
language sql immutable parallel safe
return nullif(unit - (unit not in ('0.0.0.0', '::'))::int, unit);
