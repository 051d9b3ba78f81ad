-- The ledger ends an operation together with its addresses: a time of its own for an operation whose engine may die,
-- and what people asked of it.

alter table ipam.operation
  add column expires_in interval,
  add column expires_at timestamptz,
  add column cancelled_at timestamptz,
  add column resumed_at timestamptz,
  add constraint operation_expires_in check (expires_in > '0'),
  add constraint operation_expiry check (num_nulls(expires_in, expires_at) in (0, 2));
comment on column ipam.operation.expires_in is
  'How long after the last call under it reclaim unwinds it and releases what it holds; null: never.';
comment on column ipam.operation.expires_at is 'Moved on by expires_in with each call under it.';
comment on column ipam.operation.cancelled_at is
  'A cancel turned it to unwinding, or wrote it as unwound before it was begun.';
comment on column ipam.operation.resumed_at is 'When it was last told to go on, having been stuck or not.';
create index operation_expires on ipam.operation (expires_at) where pending and expires_at is not null;
comment on index ipam.operation_expires is 'reclaim_expired: the operations past their own time.';

alter type ipam.operation_answer add attribute expires_at timestamptz;
alter type ipam.operation_answer add attribute cancelled_at timestamptz;
alter type ipam.operation_answer add attribute resumed_at timestamptz;

update ipam.schema_version set version = 4;
