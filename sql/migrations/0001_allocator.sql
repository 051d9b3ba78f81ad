-- The tables of the allocator. What is true lives in `range`, `reservation` and `allocation`; `free_extent` and `pool_counter`
-- are derived from them, kept in the same transaction, and can be rebuilt (`ipam.repair`).
-- Keys begin with the VRF, and compare byte by byte (collate "C"), so that pages by key have one order everywhere.

create schema if not exists ipam;

create extension if not exists btree_gist;

create table ipam.schema_version (
  version int not null,
  compatible_from int not null,
  constraint schema_version_span check (compatible_from between 1 and version)
);
create unique index schema_version_one on ipam.schema_version ((true));
comment on table ipam.schema_version is 'One row: this schema, and the oldest library that may write to it.';
insert into ipam.schema_version (version, compatible_from) values (1, 1);

-- A span of addresses, so that overlap is something the database can refuse.
create type ipam.inet_range as range (subtype = inet);

-- One address without a mask: 10.0.0.0/24 and 10.0.0.0/32 compare as different values.
create domain ipam.address as inet
  constraint address_is_bare check (masklen(value) = case family(value) when 4 then 32 else 128 end);

-- What people call things by: a VRF, a pool, a slot, an owner.
create domain ipam.name as text collate "C"
  constraint name_length check (char_length(value) between 1 and 200);

create table ipam.vrf (
  vrf ipam.name not null,
  generation_floor bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  constraint vrf_pkey primary key (vrf)
);
comment on column ipam.vrf.generation_floor is 'No extent made from now on starts below it: the largest generation that any removed extent had.';

create table ipam.pool (
  vrf ipam.name not null,
  pool_id bigint generated always as identity,
  name ipam.name not null,
  family smallint not null,
  size numeric not null,
  cooldown interval not null default '0',
  gateway text not null default 'none',
  include_network_addresses boolean not null default false,
  definition jsonb not null,
  spread inet[] not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  deleted_at timestamptz,
  constraint pool_pkey primary key (vrf, pool_id),
  constraint pool_vrf_fkey foreign key (vrf) references ipam.vrf (vrf),
  constraint pool_family check (family in (4, 6)),
  constraint pool_size check (size >= 0),
  constraint pool_cooldown check (cooldown >= '0'),
  constraint pool_name_is_no_id check (name !~ '^[0-9]+$')
);
comment on column ipam.pool.definition is 'The arguments it was created with, to tell a repeated create from another pool.';
comment on column ipam.pool.spread is 'Where callers who compete begin to look, in address order; a caller alone begins at the lowest.';
create unique index pool_name on ipam.pool (vrf, name) where deleted_at is null;
comment on index ipam.pool_name is 'allocate, get_pool: a pool by its name.';

create table ipam.range (
  vrf ipam.name not null,
  range_id bigint generated always as identity,
  pool_id bigint not null,
  first ipam.address not null,
  last ipam.address not null,
  prefix_length smallint,
  gateway ipam.address,
  constraint range_pkey primary key (vrf, range_id),
  constraint range_pool_fkey foreign key (vrf, pool_id) references ipam.pool (vrf, pool_id),
  constraint range_order check (first <= last and family(first) = family(last)),
  constraint range_overlap exclude using gist (vrf with =, ipam.inet_range(first, last, '[]') with &&)
);
create index range_pool on ipam.range (vrf, pool_id, first);
comment on index ipam.range_pool is 'get_pool: the ranges of a pool in address order.';

create table ipam.reservation (
  vrf ipam.name not null,
  range_id bigint not null,
  first ipam.address not null,
  last ipam.address not null,
  reason text not null,
  constraint reservation_pkey primary key (vrf, range_id, first, last),
  constraint reservation_range_fkey foreign key (vrf, range_id) references ipam.range (vrf, range_id) on delete cascade,
  constraint reservation_order check (first <= last),
  constraint reservation_reason check (reason in ('network', 'gateway', 'asked'))
);
comment on table ipam.reservation is 'What is never handed out automatically. Rows may overlap: each is what somebody asked for.';

-- The free space of a pool: `next`..`last`. `next` moves on with every take and stands in no index, so that the move stays HOT.
-- Disjoint extents have the order of their addresses in `last`, and keep it when `next` moves.
-- No CHECK here nor on the counters: PostgreSQL parses a table's CHECKs again in each statement that writes to it, and these
-- two are written by every call. The doctor checks instead that next <= last.
create table ipam.free_extent (
  vrf ipam.name not null,
  extent_id bigint generated always as identity,
  pool_id bigint not null,
  range_id bigint not null,
  available_at timestamptz not null default '-infinity',
  next inet not null,
  last inet not null,
  generation bigint not null,
  last_owner_kind text,
  last_owner_id text,
  constraint free_extent_pkey primary key (extent_id, vrf)
) with (fillfactor = 70);
comment on constraint free_extent_pkey on ipam.free_extent is
  'Leads with the id, and rows are found by the id alone: no other index can serve that, whatever the planner believes.';
comment on column ipam.free_extent.available_at is '-infinity: free. A time: cooling until then. infinity: reserved.';
comment on column ipam.free_extent.generation is 'Of the last allocation of its addresses; the next one takes it plus 1.';
create index free_extent_pick on ipam.free_extent (vrf, pool_id, available_at, last);
comment on index ipam.free_extent_pick is 'allocate: the lowest free extent, then the longest released; exhaustion: the next to come free.';
create unique index free_extent_last on ipam.free_extent (vrf, pool_id, last);
comment on index ipam.free_extent_last is 'allocate with an address, reserve, remove_range: the extent that holds an address has the smallest last at or above it.';

create table ipam.pool_counter (
  vrf ipam.name not null,
  pool_id bigint not null,
  shard smallint not null,
  held bigint not null default 0,
  reserved numeric not null default 0,
  constraint pool_counter_pkey primary key (vrf, pool_id, shard)
) with (fillfactor = 50);
comment on table ipam.pool_counter is '64 shards a pool, of which only the sums mean something.';

create table ipam.allocation (
  vrf ipam.name not null,
  request_id uuid not null,
  slot ipam.name not null,
  pool_id bigint,
  range_id bigint,
  unit inet,
  generation bigint,
  fingerprint bytea,
  owner_kind text,
  owner_id text,
  reserved boolean not null default false,
  allocated_at timestamptz,
  expires_at timestamptz,
  confirmed_at timestamptz,
  released_at timestamptz,
  release_reason text,
  constraint allocation_pkey primary key (vrf, request_id, slot),
  constraint allocation_request check (request_id <> '00000000-0000-0000-0000-000000000000'),
  constraint allocation_seen check (num_nulls(pool_id, range_id, unit, generation, fingerprint, allocated_at) in (0, 6)),
  constraint allocation_unseen check (allocated_at is not null or (released_at is not null and num_nonnulls(owner_kind, expires_at, confirmed_at) = 0)),
  constraint allocation_owner check (num_nulls(owner_kind, owner_id) in (0, 2)),
  constraint allocation_state check (allocated_at is null or num_nonnulls(expires_at, confirmed_at) > 0),
  constraint allocation_released check (num_nulls(released_at, release_reason) in (0, 2) and release_reason in ('released', 'expired', 'orphaned'))
);
comment on table ipam.allocation is 'One row a key, for ever: live while released_at is null, then its tombstone. provisional: expires_at and no confirmed_at.';
comment on column ipam.allocation.reserved is 'Its unit goes back to reserved, not to free.';
create unique index allocation_unit on ipam.allocation (vrf, unit) where released_at is null;
comment on index ipam.allocation_unit is 'One live allocation a unit; the guard of every take; the live ones of a span: list_by_pool, list_by_prefix, reserve, remove_range.';
create index allocation_owner on ipam.allocation (owner_kind, owner_id, vrf, unit) where released_at is null and owner_kind is not null;
comment on index ipam.allocation_owner is 'list_by_owner, with or without a VRF.';
create index allocation_expiry on ipam.allocation (vrf, expires_at) where released_at is null and confirmed_at is null;
comment on index ipam.allocation_expiry is 'reclaim_expired: the provisional ones past their ttl.';

-- What every call on a key answers.
create type ipam.answer as (
  outcome text,
  vrf text,
  pool text,
  request_id uuid,
  slot text,
  address inet,
  prefix_length int,
  gateway inet,
  generation bigint,
  state text,
  expires_at timestamptz,
  owner_kind text,
  owner_id text,
  freed boolean,
  detail jsonb
);

-- What every call on a pool answers.
create type ipam.pool_answer as (
  outcome text,
  vrf text,
  pool_id bigint,
  name text,
  family int,
  size numeric,
  held numeric,
  reserved numeric,
  cooling numeric,
  free numeric,
  cooldown_seconds double precision,
  gateway text,
  include_network_addresses boolean,
  ranges jsonb,
  created_at timestamptz,
  detail jsonb
);

-- A slot that may be taken, as ipam.verdict saw it. available_at: of the extent that holds the address asked for.
create type ipam.wanted_slot as (
  slot text,
  pool_id bigint,
  address inet,
  fingerprint bytea,
  available_at timestamptz
);
