-- When a unit released at this time may be allocated automatically again: never if it is reserved, after the cooldown
-- of its pool, or at once.
--
-- Stable, because adding an interval depends on the time zone: declared immutable, it would not be inlined.
create or replace function ipam.available_after(
  reserved boolean, cooldown interval, released_at timestamptz
) returns timestamptz
language sql stable
return case
  when reserved then 'infinity'::timestamptz
  when cooldown > '0' then released_at + cooldown
  else '-infinity'::timestamptz
end;
