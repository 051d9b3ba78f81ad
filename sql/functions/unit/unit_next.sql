-- The unit after a unit; null after the last one of the family.
--
-- This function and its neighbours (ipam.unit_prev, unit_count, unit_span, unit_number, unit_of_number, unit_after and
-- unit_series) are the only arithmetic on addresses.
-- Safe: the planner folds constants in advance, even on a branch that is never reached, and `255.255.255.255 + 1`
-- raises. So nothing is computed past the end of a family: there, 0 is added.
-- Cost: PostgreSQL inlines it, since it is a single expression and has no SET clause. A test holds both.
create or replace function ipam.unit_next(unit inet) returns inet
language sql immutable parallel safe
return nullif(unit + (unit not in ('255.255.255.255', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'))::int, unit);
