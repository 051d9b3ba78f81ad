-- Refuses arguments that no call on keys accepts, before anything is read or written.
--
-- slots: 1 to 65,536 different ones, each of 1 to 200 characters. owner_kind, owner_id: both or neither. ttl_seconds:
-- null, or above 0 and at most a hundred years. vrf, request_id: ipam.check_key.
-- Raises invalid_parameter_value (22023).
create or replace function ipam.check_request(
  vrf text, request_id uuid, slots text[], owner_kind text default null, owner_id text default null,
  ttl_seconds double precision default null
) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_problem text;
begin
  perform ipam.check_key(vrf, request_id);
  v_problem := case
    when (cardinality(slots) between 1 and 65536) is not true then 'slots: must be 1 to 65,536'
    when array_ndims(slots) <> 1 or array_lower(slots, 1) <> 1 then 'slots: must be a list that begins at index 1'
    when cardinality(slots) = 1 and (char_length(slots[1]) between 1 and 200) is not true
      then 'slot: must have 1 to 200 characters'
    when (owner_kind is null) <> (owner_id is null) then 'owner: needs a kind and an id'
    when (char_length(owner_kind) between 1 and 200 and char_length(owner_id) between 1 and 200) is false
      then 'owner: kind and id must have 1 to 200 characters'
    when (ttl_seconds > 0 and ttl_seconds <= 3155760000) is false
      then 'ttl_seconds: must be above 0 and at most a hundred years'
  end;
  if v_problem is null and cardinality(slots) > 1 then
    if exists (select from unnest(slots) s where (char_length(s) between 1 and 200) is not true) then
      v_problem := 'slot: must have 1 to 200 characters';
    elsif cardinality(slots) <> (select count(distinct s collate "C") from unnest(slots) s) then
      v_problem := 'slots: the same slot twice';
    end if;
  end if;
  if v_problem is not null then
    raise exception using errcode = 'invalid_parameter_value', message = v_problem;
  end if;
end
$function$;
