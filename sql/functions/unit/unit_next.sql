-- The unit that follows one; null after the last of its family.
--
-- This and its neighbours, ipam.unit_prev, unit_count, unit_span, unit_number and unit_after, are the only arithmetic on addresses.
-- Safe: the planner computes what it can in advance, on a branch that would not be reached as well, and `255.255.255.255 + 1`
-- raises. So nothing here is computed past the end of a family: there, 0 is added.
-- Cost: it is inlined, so it has no SET clause and is one expression; the catalog's tests hold that.
create or replace function ipam.unit_next(unit inet) returns inet
language sql immutable parallel safe
return nullif(unit + (unit not in ('255.255.255.255', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'))::int, unit);
