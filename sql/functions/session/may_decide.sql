-- Whether a call may decide something in this transaction without further ado: its isolation level is read committed,
-- so that each decision gets a fresh snapshot after a wait, what it commits survives a crash, and the server is no
-- standby. Otherwise, ipam.check_isolation corrects or refuses it.
--
-- Cost: inlined.
create or replace function ipam.may_decide() returns boolean
language sql stable
return current_setting('transaction_isolation') = 'read committed'
  and current_setting('synchronous_commit') not in ('off', 'local')
  and current_setting('in_hot_standby') = 'off';
