-- The ledger of operations: which saga works on what, and how it ended; what the reconciler marks; how long tombstones stay.

create table ipam.operation (
  operation_id uuid not null,
  vrf ipam.name not null,
  kind ipam.name not null,
  sequence bigint generated always as identity,
  fingerprint bytea not null,
  payload jsonb,
  execution_id text,
  state text not null default 'pending',
  pending boolean not null generated always as (state in ('pending', 'unwinding')) stored,
  stuck_since timestamptz,
  stuck_step text,
  stuck_error text,
  result jsonb,
  error jsonb,
  begun_at timestamptz not null,
  unwinding_at timestamptz,
  finished_at timestamptz,
  pruned_at timestamptz,
  constraint operation_pkey primary key (operation_id),
  constraint operation_pending_key unique (operation_id, pending),
  constraint operation_id check (operation_id <> '00000000-0000-0000-0000-000000000000'),
  constraint operation_state check (state in ('pending', 'unwinding', 'unwound', 'succeeded')),
  constraint operation_succeeded check ((state = 'succeeded') = (result is not null)),
  constraint operation_unwound check ((state = 'unwound') = (error is not null)),
  constraint operation_unwinding check ((state in ('unwinding', 'unwound')) = (unwinding_at is not null)),
  constraint operation_finished check ((state in ('unwound', 'succeeded')) = (finished_at is not null)),
  constraint operation_stuck check (
    num_nulls(stuck_since, stuck_step, stuck_error) in (0, 3) and (stuck_since is null or state in ('pending', 'unwinding'))
  ),
  constraint operation_pruned check (pruned_at is null or finished_at is not null)
);
comment on table ipam.operation is 'One execution of a saga. Its id is the request id of every key that it allocates.';
comment on column ipam.operation.vrf is 'Its home; its targets say what it works on, there or elsewhere.';
comment on column ipam.operation.sequence is 'The order of beginnings on any one target; times may lie.';
comment on column ipam.operation.execution_id is 'What the workflow engine calls it: prune deletes the messages and replies of this id with it.';
comment on column ipam.operation.pending is 'The targets carry it too, by their foreign key, so that one update of state moves both.';
comment on column ipam.operation.pruned_at is 'Since then only its end is known: payload, result and targets went. It still refuses a rerun.';
create unique index operation_sequence on ipam.operation (sequence);
comment on index ipam.operation_sequence is 'list_operations_by_state: all of them, newest first.';
create index operation_pending on ipam.operation (sequence) where pending;
comment on index ipam.operation_pending is 'list_operations_by_state: pending or stuck ones; prune: the longest pending.';
create index operation_prunable on ipam.operation (sequence) where pruned_at is null and finished_at is not null;
comment on index ipam.operation_prunable is 'prunable_operations: those that have ended and keep their payload, the oldest first.';

create table ipam.operation_target (
  operation_id uuid not null,
  vrf ipam.name not null,
  kind ipam.name not null,
  id ipam.name not null,
  sequence bigint not null,
  pending boolean not null default true,
  constraint operation_target_pkey primary key (operation_id, vrf, kind, id),
  constraint operation_target_operation_fkey foreign key (operation_id, pending) references ipam.operation (operation_id, pending)
    on update cascade on delete cascade
);
comment on table ipam.operation_target is 'What an operation works on. The whole identity is the key: two networks may both have a machine 7.';
create index operation_target_history on ipam.operation_target (kind, id, vrf, sequence);
comment on index ipam.operation_target_history is 'list_operations, latest_operation, target_vrfs: of one target, with or without a VRF.';
create index operation_target_pending on ipam.operation_target (kind, id, vrf, sequence) where pending;
comment on index ipam.operation_target_pending is 'has_pending_operation, pending_operations, release_orphan: the gate.';

-- What every call on an operation answers. targets: [{"vrf", "kind", "id"}].
create type ipam.operation_answer as (
  outcome text,
  operation_id uuid,
  vrf text,
  kind text,
  sequence bigint,
  state text,
  payload jsonb,
  targets jsonb,
  execution_id text,
  stuck_since timestamptz,
  stuck_step text,
  stuck_error text,
  result jsonb,
  error jsonb,
  begun_at timestamptz,
  unwinding_at timestamptz,
  finished_at timestamptz,
  pruned_at timestamptz,
  detail jsonb
);

create table ipam.retention (
  horizon interval not null default '90 days',
  pruned_before timestamptz not null default '-infinity',
  constraint retention_horizon check (horizon >= '1 day')
);
create unique index retention_one on ipam.retention ((true));
comment on table ipam.retention is 'One row: how long tombstones of UUIDv7 keys stay, and up to which time they may be gone.';
insert into ipam.retention (horizon) values ('90 days');

-- Who released a key, and why, where that was not the owner of the key.
alter table ipam.allocation add column released_by text;
alter table ipam.allocation add column release_note text;
alter table ipam.allocation add constraint allocation_released_by check (released_by is null or released_at is not null);
alter table ipam.allocation add constraint allocation_release_note check (release_note is null or released_by is not null);
comment on column ipam.allocation.released_by is 'Of an orphan: who ran the reconciler that released it; release_note says why.';

create table ipam.orphan_mark (
  vrf ipam.name not null,
  request_id uuid not null,
  slot ipam.name not null,
  generation bigint not null,
  marked_at timestamptz not null,
  marked_by text not null,
  constraint orphan_mark_pkey primary key (vrf, request_id, slot)
);
comment on table ipam.orphan_mark is 'The first pass of the reconciler: these looked orphaned. The second releases those that still do.';
comment on column ipam.allocation.release_note is 'Why it was released, where its key does not say: what the reconciler found.';
create index allocation_prunable on ipam.allocation (released_at)
  where released_at is not null and get_byte(uuid_send(request_id), 6) >> 4 = 7;
comment on index ipam.allocation_prunable is 'prune_keys: tombstones of UUIDv7 keys, the oldest first.';

update ipam.schema_version set version = 2;
