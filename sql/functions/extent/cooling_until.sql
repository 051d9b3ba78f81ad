-- When the cooldown of a unit that returns to a reservation ends, in case the reservation is lifted before; null
-- without a cooldown.
create or replace function ipam.cooling_until(
  reserved boolean, cooldown interval, released_at timestamptz
) returns timestamptz
language sql immutable
return case when reserved and cooldown > '0' then released_at + cooldown end;
