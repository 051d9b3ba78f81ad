-- Which role may call what: a reader reads, an allocator also works on keys and operations, an operator does
-- everything. None of the three has a right on a table, and nobody else may call a function.
--
-- Roles belong to the whole server: they are created if the migrating role may create roles, and granted to if they
-- exist.
do $grants$
declare
  v_role text;
  v_function regprocedure;
  v_allocator text[] := array[
    'allocate', 'allocate_many', 'allocate_batch', 'confirm', 'confirm_many', 'confirm_batch', 'extend', 'extend_many',
    'release', 'release_many', 'release_batch', 'release_all',
    'begin_operation', 'unwind_operation', 'finish_operation', 'cancel_operation', 'resume_operation',
    'mark_stuck', 'clear_stuck', 'has_pending_operation',
    'start_saga', 'claim_sagas', 'saga_keys', 'advance_saga', 'advance_saga_batch', 'refuse_step', 'report_attempt',
    'unwind_saga', 'park_saga', 'finish_saga', 'finish_saga_batch', 'renew_lease', 'retire_worker'
  ];
  v_reader text[] := array[
    'get', 'list_by_pool', 'list_by_request', 'list_by_owner', 'list_by_address', 'list_by_prefix', 'list_all',
    'describe_address', 'vrf_known', 'get_pool', 'list_pools', 'list_reservations',
    'get_operation', 'pending_operations', 'latest_operation', 'list_operations', 'list_operations_by_state',
    'target_vrfs', 'identity_vrfs', 'saga_status'
  ];
  v_operator text[] := array[
    'create_pool', 'update_pool', 'delete_pool', 'add_range', 'remove_range', 'set_draining', 'reserve', 'unreserve',
    'count_expired', 'reclaim_expired', 'upkeep', 'doctor', 'repair',
    'prunable_operations', 'prune_operations', 'prune_keys',
    'orphan_candidates', 'mark_orphans', 'clear_orphan_marks', 'release_orphan',
    'import_bindings', 'bind_import', 'import_addresses', 'import_reservations', 'lift_reservations', 'unprotected'
  ];
begin
  for v_function in
    select p.oid::regprocedure from pg_proc p where p.pronamespace = 'ipam'::regnamespace and p.prokind = 'f'
  loop
    execute format('revoke all on function %s from public', v_function);
  end loop;
  foreach v_role in array array['ipam_allocator', 'ipam_operator', 'ipam_reader'] loop
    if not exists (select from pg_catalog.pg_roles r where r.rolname = v_role) then
      begin
        execute format('create role %I nologin', v_role);
      exception
        -- Another migrator has just created it.
        when duplicate_object or unique_violation then null;
        -- The report of the migration names it.
        when insufficient_privilege then continue;
      end;
    end if;
    execute format('grant usage on schema ipam to %I', v_role);
    execute format('grant select on ipam.schema_version to %I', v_role);
    for v_function in
      select p.oid::regprocedure
      from pg_proc p
      where p.pronamespace = 'ipam'::regnamespace
        and p.proname = any (
          v_reader || case v_role
            when 'ipam_allocator' then v_allocator
            when 'ipam_operator' then v_allocator || v_operator
            else '{}'
          end
        )
    loop
      execute format('grant execute on function %s to %I', v_function, v_role);
    end loop;
  end loop;
end
$grants$;
