-- Makes first..last of a range free space, cut into at most `pieces` extents of equal size, so that as many callers can
-- allocate from it at the same time.
--
-- first, last: within the range, both inclusive. available_at: when it may be allocated. The extents drain if the range
-- does.
create or replace function ipam.cut_free(
  vrf text, range_id bigint, first inet, last inet, generation bigint, pieces int, available_at timestamptz
) returns void
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
declare
  v_count numeric := ipam.unit_count(first, last);
  v_step numeric := ceil(v_count / greatest(pieces, 1));
begin
  insert into ipam.free_extent (vrf, pool_id, range_id, available_at, next, last, generation, draining)
  select
    r.vrf, r.pool_id, r.range_id, cut_free.available_at, ipam.unit_after(cut_free.first, n * v_step),
    ipam.unit_after(cut_free.first, least((n + 1) * v_step, v_count) - 1), cut_free.generation, r.draining
  from ipam.range r cross join generate_series(0::numeric, ceil(v_count / v_step) - 1) n
  where r.vrf = cut_free.vrf and r.range_id = cut_free.range_id;
end
$function$;
