-- Which parts of the given spans of a pool can be allocated automatically, now or after their cooldown: neither held
-- nor reserved. One snapshot.
--
-- firsts, lasts: the spans, both ends inclusive. Returns one row for each part, `free` or `cooling`, in the order of
-- the spans; `unknown_pool` for each span if there is no such pool.
create or replace function ipam.unprotected(vrf text, pool text, firsts inet[], lasts inet[])
returns table (first inet, last inet, outcome text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  return query
  select
    greatest(s.first, coalesce(e.next, s.first)), least(s.last, coalesce(e.last, s.last)),
    case
      when f.pool_id is null then 'unknown_pool'
      when e.available_at > statement_timestamp() then 'cooling'
      else 'free'
    end
  from unnest(firsts, lasts) with ordinality s (first, last, ordinal)
    left join lateral ipam.find_pool(unprotected.vrf, unprotected.pool) f on true
    left join lateral ipam.extents_of(unprotected.vrf, f.pool_id, s.first, s.last) e on e.available_at < 'infinity'
  where f.pool_id is null or e.extent_id is not null
  order by s.ordinal, e.last;
end
$function$;
