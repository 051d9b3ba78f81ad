-- When a UUIDv7 was created, by the clock of its creator; null for a UUID of any other version.
create or replace function ipam.uuid_time(id uuid) returns timestamptz
language sql immutable parallel safe
return case
  when get_byte(uuid_send(id), 6) >> 4 = 7 and get_byte(uuid_send(id), 8) >> 6 = 2
    then to_timestamp((('x0000' || encode(substr(uuid_send(id), 1, 6), 'hex'))::bit(64)::bigint) / 1000.0)
end;
