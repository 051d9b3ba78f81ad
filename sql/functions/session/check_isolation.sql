-- Refuses any isolation but read committed, for every call that decides something: a decision needs a fresh snapshot after each
-- wait. Raises invalid_parameter_value (22023). Also sees to it that what the call writes survives a crash.
create or replace function ipam.check_isolation() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
begin
  if current_setting('synchronous_commit') in ('off', 'local') then
    -- An acknowledged allocation must survive a crash. A SET clause of the function would be undone before the commit.
    perform set_config('synchronous_commit', 'on', true);
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'invalid_parameter_value',
      message = 'isolation: saga-ipam needs read committed, this transaction is ' || current_setting('transaction_isolation');
  end if;
end
$function$;
