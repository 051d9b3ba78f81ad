-- The settings of the functions: how their statements are planned, and how long they wait for a lock.
--
-- A setting holds inside the function and in everything that it calls. So a function is listed here if it is called
-- from outside, or by functions of different profiles; every other one has the settings of its callers. Whatever writes
-- waits for one lock no longer than its lock_timeout. The tests of the catalog hold that none is missing.
--
-- Every profile sets jit = off. A disabled kind of plan costs 1e10 before PostgreSQL 18, and a server with LLVM would
-- compile a statement of that cost in every call: 18 ms.
do $settings$
declare
  v_setting record;
begin
  for v_setting in
    with profile (name, settings) as (
      values
        -- Calls on keys and operations: few rows, each found by an index that gives the order wanted. A plan is made
        -- once for a connection, perhaps while the tables are empty or their statistics are old, and must be as good
        -- when they are full.
        ('hot', array[
          'plan_cache_mode = force_generic_plan', 'enable_seqscan = off', 'enable_bitmapscan = off',
          'enable_sort = off', 'jit = off'
        ]),
        -- Calls that read as many rows as a page, a pool or a round of upkeep has: by an index as well, but they may
        -- sort, and which index is best depends on their arguments.
        ('indexed', array['enable_seqscan = off', 'enable_bitmapscan = off', 'jit = off']),
        -- Calls that read whole tables, and may scan them.
        ('linear', array['jit = off']),
        -- The doctor joins whole tables with each other: of all joins, only hash joins are linear whatever the
        -- statistics say.
        ('joining', array['enable_nestloop = off', 'enable_mergejoin = off', 'work_mem = ''64MB''', 'jit = off'])
    ),

    function (name, profile, lock_timeout) as (
      values
        ('allocate', 'hot', '2s'),
        ('allocate_many', 'hot', '2s'),
        ('allocate_batch', 'hot', '50ms'),
        ('confirm_batch', 'hot', '50ms'),
        ('release_batch', 'hot', '50ms'),
        ('confirm_many', 'hot', '2s'),
        ('extend_many', 'hot', '2s'),
        ('release', 'hot', '2s'),
        ('release_many', 'hot', '2s'),
        ('release_all', 'hot', '2s'),
        ('reclaim_expired', 'hot', '2s'),
        ('count_expired', 'hot', null),
        ('free_units', 'hot', null),
        ('count_units', 'hot', null),

        ('begin_operation', 'hot', '2s'),
        ('unwind_operation', 'hot', '2s'),
        ('finish_operation', 'hot', '2s'),
        ('cancel_operation', 'hot', '2s'),
        ('resume_operation', 'hot', '2s'),
        ('mark_stuck', 'hot', '2s'),
        ('clear_stuck', 'hot', '2s'),
        ('has_pending_operation', 'hot', '2s'),
        ('list_operations_by_state', 'indexed', null),

        ('start_saga', 'hot', '2s'),
        ('claim_sagas', 'hot', '2s'),
        ('saga_keys', 'hot', null),
        ('saga_status', 'indexed', null),
        ('advance_saga', 'hot', '2s'),
        ('advance_saga_batch', 'hot', '50ms'),
        ('park_saga', 'hot', '2s'),
        ('refuse_step', 'hot', '2s'),
        ('report_attempt', 'hot', '2s'),
        ('unwind_saga', 'hot', '2s'),
        ('finish_saga', 'hot', '2s'),
        ('finish_saga_batch', 'hot', '50ms'),
        ('renew_lease', 'hot', '2s'),
        ('retire_worker', 'hot', '2s'),

        ('get', 'hot', null),
        ('list_all', 'indexed', null),
        ('list_by_pool', 'indexed', null),
        ('list_reservations', 'indexed', null),
        ('describe_address', 'indexed', null),
        ('pool_answer_for', 'indexed', null),

        ('create_pool', 'indexed', '10s'),
        ('update_pool', 'indexed', '10s'),
        ('delete_pool', 'indexed', '10s'),
        ('add_range', 'indexed', '10s'),
        ('remove_range', 'indexed', '10s'),
        ('set_draining', 'indexed', '10s'),
        ('reserve', 'indexed', '10s'),
        ('unreserve', 'indexed', '10s'),
        ('settle_covers', 'indexed', null),

        ('bind_import', 'indexed', '10s'),
        ('import_addresses', 'hot', '2s'),
        ('import_reservations', 'indexed', '10s'),
        ('lift_reservations', 'indexed', '10s'),
        ('unprotected', 'indexed', null),

        ('orphan_candidates', 'indexed', null),
        ('mark_orphans', 'indexed', '2s'),
        ('clear_orphan_marks', 'indexed', '2s'),
        ('release_orphan', 'hot', '2s'),

        ('upkeep', 'indexed', '2s'),
        ('prunable_operations', 'indexed', null),
        ('prune_operations', 'indexed', '2s'),
        ('prune_keys', 'indexed', '2s'),
        ('doctor', 'joining', null),
        ('repair', 'linear', '10s'),
        ('repair_extents', 'indexed', null)
    )

    select format('alter function ipam.%I set %s', f.name, s.setting) as change
    from function f
      join profile p on p.name = f.profile
      cross join lateral unnest(p.settings || ('lock_timeout = ' || quote_literal(f.lock_timeout))) s (setting)
    where s.setting is not null
  loop
    execute v_setting.change;
  end loop;
end
$settings$;
