-- Why and when a key was released, and by whom if that was a reconciler; null while it is held.
create or replace function ipam.tombstone(known ipam.allocation) returns jsonb
language sql stable
return case
  when (known).released_at is not null then jsonb_strip_nulls(jsonb_build_object(
    'reason', (known).release_reason, 'releasedAt', (known).released_at, 'releasedBy', (known).released_by,
    'note', (known).release_note
  ))
end;
