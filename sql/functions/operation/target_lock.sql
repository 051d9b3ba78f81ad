-- The advisory lock where beginning an operation on a target and gating on that target meet. Without the VRF: an object of one
-- VRF may own addresses in another, so the reconciler gates on its name everywhere.
create or replace function ipam.target_lock(kind text, id text) returns bigint
language sql immutable parallel safe
return hashtextextended(concat(char_length(kind), ' ', kind, ' ', id), 6074318);
