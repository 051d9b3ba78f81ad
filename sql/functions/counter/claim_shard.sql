-- Whether this transaction has a counter shard of a pool to itself until it ends; false if another transaction has it.
-- Every function asks before it updates a shard, so that nobody waits for one. Inlined.
--
-- Cost: an advisory lock, which writes nothing; FOR UPDATE SKIP LOCKED would write the row twice.
create or replace function ipam.claim_shard(pool_id bigint, shard smallint) returns boolean
language sql volatile
return pg_try_advisory_xact_lock(1936877414, ((pool_id * 32768 + shard) % 2147483647)::int);
