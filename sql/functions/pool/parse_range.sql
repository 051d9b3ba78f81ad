-- Reads `10.0.0.0/24`, `10.0.0.10-10.0.0.20` or `10.0.0.5`, of either family: both ends, and for a CIDR its prefix
-- length.
--
-- Raises invalid_parameter_value (22023) for anything else, including a CIDR with host bits.
create or replace function ipam.parse_range(range text, out first inet, out last inet, out prefix_length int)
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
  if strpos(range, '/') > 0 then
    prefix_length := masklen(range::cidr::inet);
    first := set_masklen(network(range::inet)::inet, case family(range::inet) when 4 then 32 else 128 end);
    last := set_masklen(broadcast(range::inet), case family(range::inet) when 4 then 32 else 128 end);
  else
    first := split_part(range, '-', 1)::inet;
    last := case when strpos(range, '-') > 0 then substr(range, strpos(range, '-') + 1)::inet else first end;
    if masklen(first) <> (case family(first) when 4 then 32 else 128 end)
      or family(first) <> family(last) or first > last then
      raise exception using errcode = 'invalid_parameter_value',
        message = format('range: %s ends before it begins, or mixes families', range);
    end if;
  end if;
exception
  when invalid_text_representation or null_value_not_allowed then
    raise exception using errcode = 'invalid_parameter_value',
      message = format('range: %s is neither a CIDR nor first-last nor an address', range);
end
$function$;
