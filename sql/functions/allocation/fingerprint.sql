-- The arguments of an allocate, without its key, as version byte and hash: a key that comes back with others is refused.
-- The ttl is not part of it. What it covers may grow under the next version; a held key is compared under its own.
create or replace function ipam.fingerprint(pool_id bigint, address inet, owner_kind text, owner_id text) returns bytea
language sql stable
return '\x01'::bytea || substr(sha256(convert_to(concat(pool_id, ' ', address, ' ', char_length(owner_kind), ' ', owner_kind, owner_id), 'UTF8')), 1, 16);
