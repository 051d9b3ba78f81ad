-- The key of the advisory lock that beginnings of operations on a target and gates on that target share. It leaves the
-- VRF out: an object of one VRF may own addresses in another, so the reconciler gates on the name in all of them.
--
-- Stable, like `concat`: declared immutable, it would not be inlined.
create or replace function ipam.target_lock(kind text, id text) returns bigint
language sql stable parallel safe
return hashtextextended(concat(char_length(kind), ' ', kind, ' ', id), 6074318);
