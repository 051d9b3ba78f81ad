-- The saga log: which worker executes which operation, which steps it has recorded, and until when its lease runs.

-- Of no VRF: a worker serves every VRF of its server.
create table ipam.saga_worker (
  worker_id uuid not null,
  label ipam.name not null,
  names text[] not null,
  versions int[] not null,
  started_at timestamptz not null,
  renewed_at timestamptz not null,
  lease_until timestamptz not null,
  claimed_at timestamptz,
  constraint saga_worker_pkey primary key (worker_id)
) with (fillfactor = 50);
comment on table ipam.saga_worker is
  'One row a worker, so that one update in place renews its lease on every run that it has claimed.';
comment on column ipam.saga_worker.label is 'Where it runs, for people: host and process.';
comment on column ipam.saga_worker.versions is 'Of the saga at the same position of names; null: any version.';
comment on column ipam.saga_worker.claimed_at is 'When it last claimed a run.';

create table ipam.saga_run (
  operation_id uuid not null,
  vrf ipam.name not null,
  name ipam.name not null,
  version int not null,
  worker_id uuid,
  epoch int not null default 0,
  fence bigint not null default 0,
  due_at timestamptz not null,
  woken boolean not null default false,
  takes_turn boolean not null default false,
  failure jsonb,
  constraint saga_run_pkey primary key (operation_id),
  constraint saga_run_version check (version > 0)
) with (fillfactor = 70);
comment on table ipam.saga_run is
  'One row for each saga that has not ended: who executes it. Payload and state are those of its operation.';
comment on column ipam.saga_run.epoch is
  'Raised by each claim. Every write of a worker names the epoch of its claim and is refused after the next one.';
comment on column ipam.saga_run.fence is
  'Raised by each claim and each decision to undo: what steps hand to their targets.';
comment on column ipam.saga_run.due_at is
  'When it may be claimed while no worker has it; infinity: only once it is woken.';
comment on column ipam.saga_run.woken is 'Cancelled or resumed since the last claim, which alone clears it.';
comment on column ipam.saga_run.takes_turn is 'It waits for earlier operations on its targets.';
comment on column ipam.saga_run.failure is 'The error that made it unwind; null where it was cancelled.';
create index saga_run_due on ipam.saga_run (name, due_at) where worker_id is null;
comment on index ipam.saga_run_due is 'claim_sagas: those of a saga that are due.';
create index saga_run_worker on ipam.saga_run (worker_id) where worker_id is not null;
comment on index ipam.saga_run_worker is 'claim_sagas, retire_worker: those of a worker.';

create table ipam.saga_step (
  operation_id uuid not null,
  vrf ipam.name not null,
  name ipam.name not null,
  ordinal int not null,
  state text not null,
  undo boolean not null,
  fence bigint not null,
  begun_at timestamptz not null,
  settled_at timestamptz,
  until timestamptz,
  attempts int not null default 0,
  failing_since timestamptz,
  last_error text,
  result jsonb,
  error jsonb,
  constraint saga_step_pkey primary key (operation_id, name),
  constraint saga_step_state check (state in ('begun', 'done', 'failed', 'undoing', 'undone'))
);
comment on table ipam.saga_step is
  'One row for each step that a saga has begun, so that steps may run at once. Pruned with the operation.';
comment on column ipam.saga_step.undo is 'It has an undo: the saga cannot end as unwound before that has succeeded.';
comment on column ipam.saga_step.settled_at is
  'When its do ended, with result or error; null: nobody knows what came of it.';
comment on column ipam.saga_step.until is 'Of a sleep, or of a step that waits for an address: how long at most.';
comment on column ipam.saga_step.attempts is
  'How often it has failed so far and was repeated; failing_since: since when.';

-- A run as its worker learns of it: by a claim, or when it turns to unwinding. claimed: false for a run that the
-- worker has already and that was woken. steps: [{"name", "state", "undo", "settled", "result", "error",
-- "secondsLeft"}], in the order in which they began. settled: result or error is that of its `do`.
create type ipam.claimed_saga as (
  outcome text,
  operation_id uuid,
  vrf text,
  name text,
  version int,
  epoch int,
  fence bigint,
  state text,
  payload jsonb,
  failure jsonb,
  stuck_step text,
  steps jsonb,
  has_keys boolean,
  must_wait boolean
);

-- What a write of a worker returns: recorded, or lease_lost. The state is that of the operation; step_state, result
-- and error are those of the step that was to begin.
create type ipam.saga_write as (
  outcome text,
  fence bigint,
  woken boolean,
  state text,
  step_state text,
  result jsonb,
  error jsonb,
  seconds_left double precision
);

-- Where a saga is, for people.
create type ipam.saga_status_answer as (
  operation_id uuid,
  version int,
  phase text,
  worker text,
  lease_until timestamptz,
  epoch int,
  due_at timestamptz,
  steps jsonb
);

update ipam.schema_version set version = 8;
