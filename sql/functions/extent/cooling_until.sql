-- When the cooldown ends of a unit that goes back to reserved, should its reservation be lifted before; null if it has none.
create or replace function ipam.cooling_until(reserved boolean, cooldown interval, released_at timestamptz) returns timestamptz
language sql immutable
return case when reserved and cooldown > '0' then released_at + cooldown end;
