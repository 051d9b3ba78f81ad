-- When the cooldown of an extent ends, whether or not it is reserved; -infinity if it has none. Inlined.
--
-- available_at, cooling_until: those of the extent.
create or replace function ipam.cooldown_end(available_at timestamptz, cooling_until timestamptz) returns timestamptz
language sql immutable parallel safe
return case when available_at = 'infinity' then coalesce(cooling_until, '-infinity') else available_at end;
