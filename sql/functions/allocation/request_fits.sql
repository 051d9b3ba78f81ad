-- Whether ipam.check_request accepts these arguments of one slot, which the calls of one statement ask before they go
-- on; it raises what is wrong with the others.
--
-- Cost: inlined.
create or replace function ipam.request_fits(
  request_id uuid, slot text, owner_kind text, owner_id text, ttl_seconds double precision
) returns boolean
language sql immutable parallel safe
return request_id <> '00000000-0000-0000-0000-000000000000' and char_length(slot) between 1 and 200
  and case
    when owner_kind is null then owner_id is null
    else char_length(owner_kind) between 1 and 200 and char_length(owner_id) between 1 and 200
  end
  and (ttl_seconds is null or ttl_seconds > 0 and ttl_seconds <= 3155760000);
