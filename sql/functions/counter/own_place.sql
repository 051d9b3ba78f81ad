-- Which of the 64 places of every pool this session works at now: a counter shard, and where it looks first among competitors.
-- Sessions have places of their own, and all move on by one each second: while an old snapshot keeps dead versions of rows
-- alive, no row is changed for long enough to drag a chain of them along (bench/contention.ts: `snapshot`).
create or replace function ipam.own_place() returns smallint
language sql volatile
return ((pg_backend_pid() + extract(epoch from clock_timestamp())::bigint) % 64)::smallint;
