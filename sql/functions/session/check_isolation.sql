-- Refuses every isolation level but read committed, for all calls that decide something: a decision needs a fresh
-- snapshot after each wait. Also makes sure that what the call writes survives a crash, by turning synchronous_commit
-- on where it is off or local.
--
-- Raises invalid_parameter_value (22023).
create or replace function ipam.check_isolation() returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
begin
  if ipam.may_decide() then
    return;
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'invalid_parameter_value',
      message = format(
        'isolation: saga-ipam needs read committed, this transaction is %s', current_setting('transaction_isolation')
      );
  end if;
  -- An acknowledged allocation must survive a crash. A SET clause of the function would be undone before the commit.
  perform set_config('synchronous_commit', 'on', true);
end
$function$;
