-- The gateway of a range: its first or last usable address, or the given address if the range contains it; else null.
-- The only range of a pool may have a gateway outside of it if it is no prefix, and so only a part of a network.
--
-- alone: whether it is the only range.
create or replace function ipam.gateway_of(
  gateway text, first inet, last inet, prefix_length int, alone boolean
) returns inet
language sql immutable parallel safe
return case
  when gateway = 'none' then null
  when gateway = 'first' then case when ipam.is_bounded(first, prefix_length) then ipam.unit_next(first) else first end
  when gateway = 'last' then
    case when ipam.is_bounded(first, prefix_length) and family(first) = 4 then ipam.unit_prev(last) else last end
  else case when gateway::inet between first and last or alone and prefix_length is null then gateway::inet end
end;
