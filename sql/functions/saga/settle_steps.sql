-- Records the outcomes of steps that were begun.
--
-- settled: [{"name", "state", "result", "error"}]. A step that was begun becomes `done`, `failed`, or `undoing` if it
-- failed or the body interrupted it and it is undone at once; an `undoing` step becomes `undone`. Any other change was
-- recorded before and is skipped.
-- A decision to undo raises the fence of the run, so that the undo hands its target a greater fence than any `do` had.
-- Returns the run as it is then. The caller has locked it.
create or replace function ipam.settle_steps(run ipam.saga_run, settled jsonb) returns ipam.saga_run
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_undoing int;
begin
  with settling as (
    select s.* from jsonb_to_recordset(settle_steps.settled) s (name text, state text, result jsonb, error jsonb)
  ),

  changed as (
    update ipam.saga_step s
    set
      state = settling.state,
      result = case when settling.state = 'done' then settling.result else s.result end,
      error = case when settling.state in ('failed', 'undoing') then settling.error else s.error end,
      fence = case when settling.state = 'undoing' then (settle_steps.run).fence + 1 else s.fence end,
      settled_at = case
        when settling.state in ('done', 'failed') or settling.error is not null then clock_timestamp() else s.settled_at
      end,
      until = null
    from settling
    where s.operation_id = (settle_steps.run).operation_id and s.name = settling.name
      and case when settling.state = 'undone' then s.state = 'undoing' else s.state = 'begun' end
    returning s.state
  )

  select count(*) filter (where changed.state = 'undoing') into v_undoing from changed;
  if v_undoing > 0 then
    update ipam.saga_run r
    set fence = r.fence + 1
    where r.operation_id = (settle_steps.run).operation_id
    returning r.* into strict run;
  end if;
  return run;
end
$function$;
