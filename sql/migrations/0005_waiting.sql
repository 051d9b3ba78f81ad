-- How long tombstones stay is hours, as every duration is: a day of the calendar has 23 or 25 where summer time
-- changes.
alter table ipam.retention
  alter column horizon set default '2160 hours',
  drop constraint retention_horizon,
  add constraint retention_horizon check (horizon >= '24 hours');
update ipam.retention set horizon = make_interval(secs => extract(epoch from horizon)::double precision);

comment on table ipam.pool_counter is
  'Shards of a pool''s counts: 64, and further ones while all of those are locked. Only the sums mean something.';

-- Slots that may be allocated go to ipam.take_slots by name.
drop type ipam.wanted_slot cascade;

update ipam.schema_version set version = 5;
