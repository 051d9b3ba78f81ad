-- How many calls of this session, from the next one on, start at another extent than the lowest, after a call that read
-- so many entries of the index to pick its extents; -1 after one that read too many.
--
-- entries: null in a transaction that has written before, whose own dead entries say nothing about those of others.
-- start: where the call started. detours: what this function returned last.
-- While a transaction keeps an old snapshot, the index keeps an entry for each extent used up since then, and whoever
-- starts at the lowest reads them all. One call that reads many also removes those that nobody can see any more; a
-- second one in a row shows that they stay. Then so many calls start elsewhere that what the two read costs each of
-- them little, and the next one tries the lowest again.
-- Cost: inlined.
create or replace function ipam.next_detours(entries bigint, start inet, detours int) returns int
language sql immutable parallel safe
return case
  when detours > 0 then detours - 1
  when entries is null then detours
  when entries <= 128 or start <> '0.0.0.0' then 0
  when detours = 0 then -1
  else least(entries / 16, 1000)::int
end;
