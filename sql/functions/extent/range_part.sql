-- In which sixty-fourth of the range first..last a unit lies, from 0 on: whoever joins adjacent units into an extent
-- stays within one, so that concurrent callers still find an extent each.
--
-- Cost: inlined.
create or replace function ipam.range_part(first inet, last inet, unit inet) returns numeric
language sql immutable parallel safe
return div(64 * (ipam.unit_count(first, unit) - 1), ipam.unit_count(first, last));
