-- first..last, both inclusive, as a half-open range, so that spans that touch join in a multirange. Empty where first is after
-- last; without an upper bound where last is the end of its family. Inlined, as ipam.unit_next.
create or replace function ipam.unit_span(first inet, last inet) returns ipam.inet_range
language sql immutable parallel safe
return case when first <= last then ipam.inet_range(first, ipam.unit_next(last), '[)') else 'empty'::ipam.inet_range end;
