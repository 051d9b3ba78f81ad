-- The answer of a call on an operation, made of the outcome and the operation (null if there is none).
create or replace function ipam.operation_answer_for(
  outcome text, known ipam.operation, detail jsonb default null
) returns ipam.operation_answer
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_answer ipam.operation_answer;
begin
  v_answer.outcome := outcome;
  v_answer.operation_id := known.operation_id;
  v_answer.vrf := known.vrf;
  v_answer.kind := known.kind;
  v_answer.sequence := known.sequence;
  v_answer.state := known.state;
  v_answer.payload := known.payload;
  v_answer.targets := ipam.operation_targets(known.operation_id);
  v_answer.execution_id := known.execution_id;
  v_answer.stuck_since := known.stuck_since;
  v_answer.stuck_step := known.stuck_step;
  v_answer.stuck_error := known.stuck_error;
  v_answer.result := known.result;
  v_answer.error := known.error;
  v_answer.begun_at := known.begun_at;
  v_answer.unwinding_at := known.unwinding_at;
  v_answer.finished_at := known.finished_at;
  v_answer.pruned_at := known.pruned_at;
  v_answer.expires_at := known.expires_at;
  v_answer.cancelled_at := known.cancelled_at;
  v_answer.resumed_at := known.resumed_at;
  v_answer.detail := detail;
  return v_answer;
end
$function$;
