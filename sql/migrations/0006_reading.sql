-- Every answer says since when its address is held.
alter type ipam.answer add attribute allocated_at timestamptz;

update ipam.schema_version set version = 6;
