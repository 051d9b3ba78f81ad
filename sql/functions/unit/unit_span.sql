-- first..last, both inclusive, as a half-open range, so that adjacent spans merge in a multirange. Empty if first lies
-- after last; without an upper bound if last is the end of its family. Inlined, like ipam.unit_next.
create or replace function ipam.unit_span(first inet, last inet) returns ipam.inet_range
language sql immutable parallel safe
return case
  when first <= last then ipam.inet_range(first, ipam.unit_next(last), '[)')
  else 'empty'::ipam.inet_range
end;
