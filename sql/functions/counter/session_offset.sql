-- The offset at which this session starts now among the 64 counter shards of a pool, and among its contention offsets
-- when it contends for an extent.
--
-- Sessions have different offsets, and all of them advance by one each second: while an old snapshot keeps dead row
-- versions alive, no row is updated for long enough to build up a long chain of them (bench/contention.ts: `snapshot`).
create or replace function ipam.session_offset() returns smallint
language sql volatile
return ((pg_backend_pid() + extract(epoch from clock_timestamp())::bigint) % 64)::smallint;
