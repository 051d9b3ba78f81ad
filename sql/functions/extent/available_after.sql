-- When a unit released at that time may be handed out again: never by itself, after the pool's cooldown, or at once.
create or replace function ipam.available_after(reserved boolean, cooldown interval, released_at timestamptz) returns timestamptz
language sql immutable
return case when reserved then 'infinity'::timestamptz when cooldown > '0' then released_at + cooldown else '-infinity'::timestamptz end;
