-- Whether a range that is a prefix of this length has network addresses at its ends (ipam.insert_ranges names the
-- RFCs).
create or replace function ipam.is_bounded(first inet, prefix_length int) returns boolean
language sql immutable parallel safe
return coalesce(prefix_length <= case family(first) when 4 then 30 else 126 end, false);
