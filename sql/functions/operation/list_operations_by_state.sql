-- Operations newest first, before the given sequence number: all of them (state null), those in one state, or those
-- marked as stuck (state `stuck`).
create or replace function ipam.list_operations_by_state(
  state text default null, before_sequence bigint default null, page_size int default 100
) returns setof ipam.operation_answer
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $function$
#variable_conflict use_column
begin
  if list_operations_by_state.state in ('pending', 'unwinding', 'stuck') then
    -- By the index on pending operations, which are few, however many have ended.
    return query
    select x.*
    from (
      select o
      from ipam.operation o
      where o.pending and o.sequence < coalesce(before_sequence, 9223372036854775807)
        and case list_operations_by_state.state
          when 'stuck' then o.stuck_since is not null
          else o.state = list_operations_by_state.state
        end
      order by o.sequence desc
      limit page_size
    ) page cross join lateral ipam.operation_answer_for('found', page.o) x;
  else
    return query
    select x.*
    from (
      select o
      from ipam.operation o
      where o.sequence < coalesce(before_sequence, 9223372036854775807)
        and (list_operations_by_state.state is null or o.state = list_operations_by_state.state)
      order by o.sequence desc
      limit page_size
    ) page cross join lateral ipam.operation_answer_for('found', page.o) x;
  end if;
end
$function$;
