-- An allocation as reads show it: `held`, or `released` with the reason.
create or replace function ipam.listed(known ipam.allocation) returns ipam.answer
language sql stable
return ipam.answer_for(
  case when (known).released_at is null then 'held' else 'released' end,
  (known).vrf, null, (known).request_id, (known).slot, known, ipam.tombstone(known)
);
