-- The arguments of a beginning, without its id, as version byte and hash: the same operation begun again must have the
-- same. Payloads are compared as jsonb prints them, targets as a set.
create or replace function ipam.operation_fingerprint(vrf text, kind text, payload jsonb, targets jsonb) returns bytea
language sql immutable
return '\x01'::bytea || substr(sha256(convert_to(jsonb_build_array(vrf, kind, payload, targets)::text, 'UTF8')), 1, 16);
