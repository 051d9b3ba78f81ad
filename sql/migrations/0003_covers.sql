-- Pools and ranges that change under traffic: revisions, draining, reservations with a reason that outlive a cut of
-- their range, and cooldowns that outlive the range they were promised in.

alter table ipam.pool
  add column revision bigint not null default 1,
  add column draining boolean not null default false,
  add column description text;
comment on column ipam.pool.revision is 'Grows with each change of the pool, of its ranges or of its reservations.';
comment on column ipam.pool.draining is 'Every range of it is draining, and a range added later is so from the start.';

alter table ipam.range
  add column revision bigint not null default 1,
  add column draining boolean not null default false;
comment on column ipam.range.draining is
  'Nothing is allocated from it automatically. Its extents and live rows carry the flag as well.';
comment on column ipam.range.prefix_length is
  'Of its network, which may be larger than the range: a range keeps it when a part of it is removed.';

-- A flag of the unit's cover, as `reserved` is of a live row: whoever takes or frees a unit reads it in the row that
-- it locks.
alter table ipam.free_extent
  add column draining boolean not null default false,
  add column cooling_until timestamptz;
comment on column ipam.free_extent.cooling_until is
  'Of a reserved extent: when its cooldown ends, should the reservation be lifted before.';
alter table ipam.allocation add column draining boolean not null default false;
comment on column ipam.allocation.draining is 'Its unit goes back to a draining range.';

drop index ipam.free_extent_pick;
create index free_extent_pick on ipam.free_extent (vrf, pool_id, available_at, last) where not draining;
comment on index ipam.free_extent_pick is
  'allocate: the lowest free extent, then the longest released; exhaustion: the next to come free.';
create index free_extent_draining on ipam.free_extent (vrf, pool_id) where draining;
comment on index ipam.free_extent_draining is 'get_pool, exhaustion: how many units are draining or cooling there.';

-- Reservations belong to their pool, so that a cut of a range leaves them as they are.
alter table ipam.reservation rename to range_reservation;
alter index ipam.reservation_pkey rename to range_reservation_pkey;
create table ipam.reservation (
  vrf ipam.name not null,
  pool_id bigint not null,
  first ipam.address not null,
  last ipam.address not null,
  kind text not null,
  reason text,
  constraint reservation_pkey primary key (vrf, pool_id, first, last, kind),
  constraint reservation_pool_fkey foreign key (vrf, pool_id) references ipam.pool (vrf, pool_id),
  constraint reservation_order check (first <= last),
  constraint reservation_kind check (kind in ('network', 'gateway', 'requested'))
);
insert into ipam.reservation (vrf, pool_id, first, last, kind)
select s.vrf, r.pool_id, s.first, s.last, case s.reason when 'asked' then 'requested' else s.reason end
from ipam.range_reservation s join ipam.range r on r.vrf = s.vrf and r.range_id = s.range_id;
drop table ipam.range_reservation;
comment on table ipam.reservation is
  'What is never handed out automatically. Rows may overlap: each is what somebody asked for.';
comment on column ipam.reservation.kind is
  'network and gateway come with a range and go with it; requested ones are made and lifted by people.';
comment on column ipam.reservation.reason is 'In the words of whoever reserved it.';

create table ipam.parked_extent (
  vrf ipam.name not null,
  parked_id bigint generated always as identity,
  first inet not null,
  last inet not null,
  available_at timestamptz not null,
  last_owner_kind text,
  last_owner_id text,
  constraint parked_extent_pkey primary key (vrf, parked_id),
  constraint parked_extent_order check (first <= last)
);
comment on table ipam.parked_extent is
  'What was still cooling when its range was removed: a range that holds it later goes on cooling there.';
create index parked_extent_last on ipam.parked_extent (vrf, last);
comment on index ipam.parked_extent_last is 'add_range: the parked extents of a span.';

-- One probe finds the keys of an operation in all VRFs.
alter table ipam.allocation drop constraint allocation_pkey;
alter table ipam.allocation add constraint allocation_pkey primary key (request_id, vrf, slot);

-- What a call on a pool answers besides: draining counts free units that no automatic request gets.
alter type ipam.pool_answer
  add attribute draining numeric,
  add attribute state text,
  add attribute description text,
  add attribute revision bigint;

update ipam.schema_version set version = 3;
