-- The arguments of an allocation without its key, as a version byte and a hash: a repetition with other arguments is
-- refused. The ttl is not part of it. A later version may cover more; a held key is compared under its own version.
create or replace function ipam.fingerprint(pool_id bigint, address inet, owner_kind text, owner_id text) returns bytea
language sql stable
return '\x01'::bytea || substr(
  sha256(convert_to(
    concat(pool_id, ' ', address, ' ', char_length(owner_kind), ' ', owner_kind, owner_id), 'UTF8'
  )), 1, 16
);
