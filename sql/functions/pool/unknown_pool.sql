-- The answer for a pool that the VRF does not have, with the VRFs that have one of that name.
create or replace function ipam.unknown_pool(vrf text, pool text) returns ipam.pool_answer
language sql stable
return ipam.pool_answer_for('unknown_pool', vrf, null, pool, jsonb_build_object('vrfs', ipam.vrfs_with_pool(pool)));
