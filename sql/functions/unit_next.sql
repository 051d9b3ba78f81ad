-- The address that follows one; null after the last of its family.
-- Nothing here can go past the end of the family, whatever the planner computes in advance: at the end it adds 0.
create or replace function ipam.unit_next(unit inet) returns inet
language sql immutable parallel safe
return nullif(
  unit + (
    unit < case family(unit) when 4 then '255.255.255.255'::inet else 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'::inet end
  )::int,
  unit
);
