-- The answer of a call on an operation, made of the outcome and the operation (null if there is none).
create or replace function ipam.operation_answer_for(
  outcome text, known ipam.operation, detail jsonb default null
) returns ipam.operation_answer
language sql stable
set search_path = pg_catalog, pg_temp
return row(
  outcome, (known).operation_id, (known).vrf, (known).kind, (known).sequence, (known).state, (known).payload,
  ipam.operation_targets((known).operation_id), (known).execution_id, (known).stuck_since, (known).stuck_step,
  (known).stuck_error, (known).result, (known).error, (known).begun_at, (known).unwinding_at, (known).finished_at,
  (known).pruned_at, detail,
  (known).expires_at, (known).cancelled_at, (known).resumed_at
)::ipam.operation_answer;
