-- Where the sagas of operations are, for people: who executes them, what they wait for, and each of their steps.
--
-- operation_ids: a page of operations.
-- Returns a row for each of them that the saga log has, in no order. `phase` is `queued` (due, and claimed by nobody),
-- `running`, `waiting` (until due_at), `stuck` (until it is resumed or cancelled) or `ended`. steps: in the order in
-- which they began, with times, attempts and errors.
create or replace function ipam.saga_status(operation_ids uuid[]) returns setof ipam.saga_status_answer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
  select
    o.operation_id, r.version,
    case
      when not o.pending then 'ended'
      when r.worker_id is not null and w.lease_until > clock_timestamp() then 'running'
      when o.stuck_since is not null and r.due_at = 'infinity' then 'stuck'
      when r.due_at > clock_timestamp() and r.worker_id is null then 'waiting'
      else 'queued'
    end,
    w.label, w.lease_until, r.epoch, case when r.worker_id is null then nullif(r.due_at, 'infinity') end, steps.steps
  from ipam.operation o
    left join ipam.saga_run r on r.operation_id = o.operation_id
    left join ipam.saga_worker w on w.worker_id = r.worker_id
    cross join lateral (
      select
        jsonb_agg(
          jsonb_build_object(
            'name', s.name, 'state', s.state, 'begunAt', s.begun_at, 'settledAt', s.settled_at, 'until', s.until,
            'attempts', s.attempts, 'failingSince', s.failing_since, 'lastError', s.last_error, 'error', s.error
          ) order by s.ordinal
        ) as steps
      from ipam.saga_step s
      where s.operation_id = o.operation_id
    ) steps
  where o.operation_id = any (operation_ids) and (r.operation_id is not null or steps.steps is not null);
$function$;
