-- The units first..last, both inclusive, in no order; none if first lies after last. For spans that were counted
-- before: a family has more units than anyone can read.
create or replace function ipam.unit_series(first inet, last inet) returns setof inet
language sql immutable parallel safe
begin atomic
  select first + n from generate_series(0, ipam.unit_count(first, last)::bigint - 1) n;
end;
