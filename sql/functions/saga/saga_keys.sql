-- The keys that a saga has allocated so far, in all VRFs, for its replay: each as it was allocated, whether or not it
-- is still held. If it is not, the detail tells when and why it was released.
create or replace function ipam.saga_keys(operation_id uuid) returns setof ipam.answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  select x.*
  from ipam.allocation a
    cross join lateral jsonb_populate_record(
      a, '{"released_at": null, "release_reason": null, "released_by": null}'
    ) held
    cross join lateral ipam.answer_for('replayed', a.vrf, null, a.request_id, a.slot, held, ipam.tombstone(a)) x
  where a.request_id = saga_keys.operation_id and a.unit is not null;
end
$function$;
