/**
 * Dumps everything in a database's catalog that a migration of saga-ipam may create, as text by which schemas can be compared.
 *
 * Reads the catalog by queries, since the embedded server comes without pg_dump. Leaves out what differs between equal schemas: OIDs,
 * the name of the owner, and what PostgreSQL 18 prints differently from 15 for the same definition.
 */

/** Runs one query, whose rows have one column, `line`. All queries must run on one connection. */
export type ReadLines = (query: string) => Promise<ReadonlyArray<string>>

/** The condition that an object of the catalog is in schema `ipam`. */
const inSchema = (namespace: string) => `${namespace} = 'ipam'::regnamespace`

/** A type with its modifiers and its collation, if that is not the default of the type. */
const typeOf = (type: string, modifier: string, collation: string) => `
  format_type(${type}, ${modifier}) || case
    when ${collation} <> 0 and ${collation} <> (select own.typcollation from pg_type own where own.oid = ${type})
    then ' collate ' || ${collation}::regcollation else ''
  end`

/** The grants on objects of one kind, except to their owners. `source` is a query of `name`, `owner` and `acl`. */
const grantsOf = (kind: string, source: string) => `
  select format('grant %s on ${kind} %s to %s%s;', lower(a.privilege_type), o.name,
    case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
    case when a.is_grantable then ' with grant option' else '' end) as line
  from (${source}) o, aclexplode(o.acl) a
  where a.grantee <> o.owner`

/** The grants on relations. Without an ACL, only the owner has privileges. */
const relationGrants = (kind: string, relkinds: string) =>
  grantsOf(
    kind,
    `select oid::regclass::text as name, relowner as owner, relacl as acl
    from pg_class where ${inSchema("relnamespace")} and relkind in (${relkinds})`,
  )

const sections: ReadonlyArray<readonly [title: string, query: string]> = [
  [
    "Schema and extensions",
    `select format('create schema %I;', nspname) as line from pg_namespace where oid = 'ipam'::regnamespace
    union all
    select format('create extension %I with schema %I;', extname, extnamespace::regnamespace)
    from pg_extension where extname <> 'plpgsql'`,
  ],
  [
    "Roles",
    `select format('create role %I %s%s%s%s%s;', rolname, case when rolcanlogin then 'login' else 'nologin' end,
      case when rolsuper then ' superuser' else '' end, case when rolcreaterole then ' createrole' else '' end,
      case when rolcreatedb then ' createdb' else '' end, case when rolbypassrls then ' bypassrls' else '' end) as line
    from pg_roles where rolname in ('ipam_allocator', 'ipam_operator', 'ipam_reader')
    union all
    select format('grant %s to %s;', roleid::regrole, member::regrole)
    from pg_auth_members
    where roleid::regrole::text ~ '^ipam_(allocator|operator|reader)$' and member::regrole::text ~ '^ipam_(allocator|operator|reader)$'`,
  ],
  [
    "Types",
    `select format('create type %s as enum (%s);', t.oid::regtype, (
        select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder) from pg_enum where enumtypid = t.oid
      )) as line
    from pg_type t where ${inSchema("typnamespace")} and typtype = 'e'
    union all
    select format('create type %s as (%s);', t.oid::regtype, (
        select string_agg(format('%I %s', attname, ${typeOf("atttypid", "atttypmod", "attcollation")}), ', ' order by attnum)
        from pg_attribute where attrelid = t.typrelid and attnum > 0 and not attisdropped
      ))
    from pg_type t join pg_class c on c.oid = t.typrelid where ${inSchema("typnamespace")} and c.relkind = 'c'
    union all
    select format('create type %s as range (subtype = %s, subtype_opclass = %s, collation = %s, canonical = %s, subtype_diff = %s);',
      rngtypid::regtype, rngsubtype::regtype, (select opcname from pg_opclass where oid = rngsubopc), rngcollation::regcollation,
      rngcanonical, rngsubdiff)
    from pg_range join pg_type t on t.oid = rngtypid where ${inSchema("typnamespace")}
    union all
    select format('create domain %s as %s%s%s;', t.oid::regtype, ${typeOf("t.typbasetype", "t.typtypmod", "t.typcollation")},
      case when t.typnotnull then ' not null' else '' end, coalesce(' default ' || t.typdefault, ''))
    from pg_type t where ${inSchema("typnamespace")} and typtype = 'd'
    union all
    select format('alter domain %s add constraint %I %s;%s', contypid::regtype, conname, pg_get_constraintdef(oid, true),
      case when convalidated then '' else ' -- not validated' end)
    from pg_constraint where contypid <> 0 and contype <> 'n' and ${inSchema("connamespace")}`,
  ],
  [
    "Tables and columns",
    `select format('create %stable %s%s;%s', case relpersistence when 'u' then 'unlogged ' else '' end, oid::regclass,
      coalesce(' with (' || array_to_string(reloptions, ', ') || ')', ''),
      concat(case relkind when 'p' then ' -- partition by ' || pg_get_partkeydef(oid) end,
        case when relrowsecurity then ' -- row security' end, case when relforcerowsecurity then ' -- forced' end,
        case when relreplident <> 'd' then ' -- replica identity ' || relreplident::text end)) as line
    from pg_class where ${inSchema("relnamespace")} and relkind in ('r', 'p')
    union all
    select format('alter table %s add column %s %I %s%s%s;', a.attrelid::regclass,
      lpad((select count(*) from pg_attribute b where b.attrelid = a.attrelid and b.attnum > 0 and b.attnum <= a.attnum and not b.attisdropped)::text, 2, '0'),
      a.attname, ${typeOf("a.atttypid", "a.atttypmod", "a.attcollation")}, case when a.attnotnull then ' not null' else '' end,
      case
        when a.attidentity = 'a' then ' generated always as identity'
        when a.attidentity = 'd' then ' generated by default as identity'
        when a.attgenerated <> '' then format(' generated always as (%s) %s', pg_get_expr(d.adbin, d.adrelid),
          case a.attgenerated when 's' then 'stored' else 'virtual' end)
        else coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
      end)
    from pg_attribute a join pg_class c on c.oid = a.attrelid
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where ${inSchema("c.relnamespace")} and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
    union all
    select format('alter sequence %s as %s start %s increment %s minvalue %s maxvalue %s cache %s%s;', seqrelid::regclass,
      seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, case when seqcycle then ' cycle' else '' end)
    from pg_sequence join pg_class c on c.oid = seqrelid where ${inSchema("c.relnamespace")}
    union all
    select format('create view %s as %s', oid::regclass, regexp_replace(pg_get_viewdef(oid), '\\s+', ' ', 'g'))
    from pg_class where ${inSchema("relnamespace")} and relkind in ('v', 'm')`,
  ],
  [
    "Constraints",
    `select format('alter table %s add constraint %I %s;%s', conrelid::regclass, conname, pg_get_constraintdef(oid, true),
      case when convalidated then '' else ' -- not validated' end) as line
    from pg_constraint where conrelid <> 0 and contype not in ('n', 't') and ${inSchema("connamespace")}`,
  ],
  [
    "Indexes",
    `select format('%s;%s%s', pg_get_indexdef(indexrelid), case when indisvalid and indisready then '' else ' -- not valid' end,
      case when indisclustered then ' -- clustered' else '' end) as line
    from pg_index join pg_class c on c.oid = indexrelid where ${inSchema("c.relnamespace")}
    union all
    select pg_get_statisticsobjdef(oid) || ';' from pg_statistic_ext where ${inSchema("stxnamespace")}`,
  ],
  [
    "Functions, each with the hash of its body",
    `select format('create %s %s returns %s language %s %s%s%s parallel %s cost %s%s%s; -- %s',
      case prokind when 'p' then 'procedure' when 'a' then 'aggregate' when 'w' then 'window function' else 'function' end,
      proname || '(' || pg_get_function_arguments(p.oid) || ')', coalesce(pg_get_function_result(p.oid), 'nothing'), l.lanname,
      case provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
      case when prosecdef then ' security definer' else '' end, concat(case when proisstrict then ' strict' end,
      case when proleakproof then ' leakproof' end),
      case proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end, procost,
      case when prorows > 0 then ' rows ' || prorows else '' end,
      coalesce((select string_agg(' set ' || setting, '' order by setting) from unnest(proconfig) setting), ''),
      left(encode(sha256(convert_to(coalesce(pg_get_function_sqlbody(p.oid), prosrc), 'UTF8')), 'hex'), 16)) as line
    from pg_proc p join pg_language l on l.oid = prolang
    where ${inSchema("pronamespace")}
      and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('i', 'e'))`,
  ],
  [
    "Triggers, rules and policies",
    `select pg_get_triggerdef(t.oid, true) || ';' || case tgenabled when 'O' then '' else ' -- ' || tgenabled::text end as line
    from pg_trigger t join pg_class c on c.oid = tgrelid where ${inSchema("c.relnamespace")} and not tgisinternal
    union all
    select pg_get_ruledef(r.oid, true) from pg_rewrite r join pg_class c on c.oid = ev_class
    where ${inSchema("c.relnamespace")} and rulename <> '_RETURN'
    union all
    select format('create policy %I on %I.%I as %s for %s to %s using (%s) with check (%s);', policyname, schemaname, tablename,
      permissive, cmd, array_to_string(roles, ', '), qual, with_check)
    from pg_policies where schemaname = 'ipam'`,
  ],
  [
    "Grants",
    [
      grantsOf(
        "schema",
        "select nspname as name, nspowner as owner, nspacl as acl from pg_namespace where oid = 'ipam'::regnamespace",
      ),
      relationGrants("table", "'r', 'p', 'v', 'm'"),
      relationGrants("sequence", "'S'"),
      grantsOf(
        "column",
        `select attrelid::regclass || '.' || attname as name, relowner as owner, attacl as acl
        from pg_attribute join pg_class c on c.oid = attrelid where ${inSchema("relnamespace")}`,
      ),
      // Without an ACL, everybody may execute a function. The constructors of a range type belong to the server's first superuser: only a
      // superuser who migrates can close them, and they read nothing.
      grantsOf(
        "function",
        `select pg_proc.oid::regprocedure::text as name, proowner as owner, coalesce(proacl, acldefault('f', proowner)) as acl
        from pg_proc join pg_language l on l.oid = prolang where ${inSchema("pronamespace")} and lanname <> 'internal'`,
      ),
      grantsOf(
        "type",
        `select oid::regtype::text as name, typowner as owner, typacl as acl from pg_type where ${inSchema("typnamespace")}`,
      ),
      grantsOf(
        "future objects of kind",
        `select defaclobjtype::text as name, defaclrole as owner, defaclacl as acl
        from pg_default_acl where defaclnamespace = 'ipam'::regnamespace`,
      ),
    ].join("\nunion all\n"),
  ],
  [
    "Comments",
    `select format(
      'comment on %s %s is %s', (o.named).type, (o.named).identity,
      case d.classoid when 'pg_proc'::regclass then '...; -- ' || left(md5(d.description), 16) else format('%L;', d.description) end
    ) as line
    from pg_description d cross join lateral (select pg_identify_object(d.classoid, d.objoid, d.objsubid) as named) o
    where (o.named).schema = 'ipam' or ((o.named).type = 'schema' and (o.named).name = 'ipam')
      or (o.named).identity like 'ipam.%' or (o.named).identity like '% on ipam.%'`,
  ],
]

/** The text of `sql/schema.sql` for the database that `read` queries: one line per fact, in an order independent of the database. */
export const readCatalog = async (read: ReadLines): Promise<string> => {
  const parts: Array<string> = []
  await read("select set_config('search_path', 'pg_catalog', false) as line")
  for (const [title, query] of sections) {
    const lines = await read(
      `select regexp_replace(line, '\\s+', ' ', 'g') as line from (${query}) facts order by line collate "C"`,
    )
    parts.push(`-- ${title}\n${lines.map((line) => `${line}\n`).join("")}`)
  }
  return `${head}\n${parts.join("\n")}`
}

const head = `-- The schema as the migrations make it, generated by \`npm run schema\`: for reading and comparing, not for running.
-- Columns carry their position; a function's comment is the hash of its body.
`
