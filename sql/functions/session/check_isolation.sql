-- Refuses every isolation level but read committed, for all calls that decide something: a decision needs a fresh
-- snapshot after each wait. Refuses a standby, which shows the past: there a gate would not see what is pending, and a
-- replay not that its key was released. Also makes sure that what the call writes survives a crash, by turning
-- synchronous_commit on where it is off or local.
--
-- Raises invalid_parameter_value (22023), on a standby read_only_sql_transaction (25006).
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
  if current_setting('in_hot_standby') = 'on' then
    raise exception using errcode = 'read_only_sql_transaction',
      message = 'this server is a standby, on which nothing is decided';
  end if;
  -- An acknowledged allocation must survive a crash. A SET clause of the function would be undone before the commit.
  perform set_config('synchronous_commit', 'on', true);
end
$function$;
