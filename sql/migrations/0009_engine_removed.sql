-- Sagas are executed from the saga log. The workflow engine that executed them before kept tables of its own in the
-- schema ipam_engine; these are dropped. Refused while one of its sagas has not ended, since only a worker of the
-- version that began it can end it.
do $engine$
declare
  v_pending bigint;
begin
  if to_regclass('ipam_engine.engine_messages') is not null then
    execute
      'select count(*)
      from ipam.operation o
      where o.pending and exists (select from ipam_engine.engine_messages m where m.entity_id = o.execution_id)'
    into v_pending;
    if v_pending > 0 then
      raise exception using
        errcode = 'object_in_use',
        message = format(
          '%s of the sagas that version 0.1 executed %s not ended: '
          'let a worker of that version end them, or cancel them with it, then migrate again',
          v_pending, case v_pending when 1 then 'has' else 'have' end
        );
    end if;
  end if;
  drop schema if exists ipam_engine cascade;
end
$engine$;

comment on column ipam.operation.execution_id is 'What another engine calls this execution.';

update ipam.schema_version set version = 9, compatible_from = 9;
