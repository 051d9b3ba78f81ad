-- Which VRF an address space of another system is here. The first import decides; whatever the other system calls it
-- later, or whatever else there has its name by then, it stays the same VRF.

create table ipam.import_binding (
  source ipam.name not null,
  kind ipam.name not null,
  id ipam.name not null,
  vrf ipam.name not null,
  bound_at timestamptz not null default clock_timestamp(),
  constraint import_binding_pkey primary key (source, kind, id)
);
comment on table ipam.import_binding is
  'source: which system. kind, id: its address space there, such as vrf 7. vrf: what it is here.';

update ipam.schema_version set version = 7;
