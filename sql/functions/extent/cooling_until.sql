-- When the cooldown of a unit that returns to a reservation ends, in case the reservation is lifted before; null
-- without a cooldown. Stable for the same reason as ipam.available_after.
create or replace function ipam.cooling_until(
  reserved boolean, cooldown interval, released_at timestamptz
) returns timestamptz
language sql stable
return case when reserved and cooldown > '0' then released_at + cooldown end;
