-- The number of units of the same family below a unit, exact in both families: its bytes read as a number. Inlined,
-- like ipam.unit_next.
create or replace function ipam.unit_number(unit inet) returns numeric
language sql immutable parallel safe
return case family(unit)
  when 4 then (unit - '0.0.0.0'::inet)::numeric
  else
    ('x' || encode(substr(inet_send(unit), 5, 4), 'hex'))::bit(32)::bigint * 79228162514264337593543950336
    + ('x' || encode(substr(inet_send(unit), 9, 4), 'hex'))::bit(32)::bigint * 18446744073709551616
    + ('x' || encode(substr(inet_send(unit), 13, 4), 'hex'))::bit(32)::bigint * 4294967296::numeric
    + ('x' || encode(substr(inet_send(unit), 17, 4), 'hex'))::bit(32)::bigint
end;
