/**
 * I12: `sql/schema.sql` is the schema that the migrations create, and the snapshot shows every change of the catalog.
 */
import { readdir, readFile } from "node:fs/promises"
import { basename } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { readCatalog } from "../../scripts/catalog.ts"
import { sqlFolder } from "../../src/database/migrate.ts"
import { raisedStates } from "../../src/contract/sqlState.ts"
import { useDatabase, type Session } from "../harness/database.ts"

const database = useDatabase()
let owner: Session
let before: string

const dump = () => readCatalog(async (query) => (await owner.rows(query)).map((row) => String(row["line"])))

beforeAll(async () => {
  owner = database().session()
  before = await dump()
})
afterAll(() => owner.end())

test("sql/schema.sql is up to date; after a change in sql/, run `npm run schema`", async () => {
  expect(await readFile(`${sqlFolder}schema.sql`, "utf8")).toBe(before)
})

interface SqlFunction {
  readonly name: string
  readonly source: string
  readonly settings: ReadonlyArray<string>
  readonly volatile: boolean
  readonly fromOutside: boolean
  readonly hasText: boolean
  readonly isPlpgsql: boolean
}

const readFunctions = async (): Promise<ReadonlyArray<SqlFunction>> => {
  const rows = await owner.rows(`
    select
      p.proname as name, p.prosrc as source, coalesce(array_to_json(p.proconfig), '[]') as settings, p.provolatile = 'v' as volatile,
      p.prosecdef as outside, p.prosqlbody is null as text, l.lanname = 'plpgsql' as plpgsql
    from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'ipam'::regnamespace and l.lanname in ('sql', 'plpgsql')`)
  return rows.map((row) => ({
    name: String(row["name"]),
    source: String(row["source"]),
    settings: Array.isArray(row["settings"]) ? row["settings"].map(String) : [],
    volatile: row["volatile"] === true,
    fromOutside: row["outside"] === true,
    hasText: row["text"] === true,
    isPlpgsql: row["plpgsql"] === true,
  }))
}
const names = (functions: ReadonlyArray<SqlFunction>) => functions.map(({ name }) => name)
const calls = (caller: SqlFunction, called: SqlFunction) =>
  new RegExp(`\\bipam\\.${called.name}\\(`).test(caller.source)
const usesTables = ({ source }: SqlFunction) =>
  /\bipam\.(allocation|free_extent|pool_counter|operation|operation_target|saga_run|saga_step)\b(?!\()/.test(source)
const sets = (option: RegExp) => (one: SqlFunction) => one.settings.some((setting) => option.test(setting))

test("a function that sets a planner option also turns JIT off, since the option's costs would have every call compiled", async () => {
  const functions = await readFunctions()
  const compiled = functions.filter(sets(/^(enable_\w+|plan_cache_mode)=/)).filter((one) => !sets(/^jit=off$/)(one))
  expect(names(compiled)).toEqual([])
})

test("every function with a statement on a large table sets planner options, or all of its callers do", async () => {
  const functions = await readFunctions()
  const isPlanned = (one: SqlFunction): boolean => {
    const callers = functions.filter((other) => other !== one && calls(other, one))
    return sets(/^jit=off$/)(one) || (!one.fromOutside && callers.length > 0 && callers.every(isPlanned))
  }
  const checked = functions.filter((one) => one.isPlpgsql && usesTables(one))
  expect(checked.length).toBeGreaterThan(40)
  expect(names(checked.filter((one) => !isPlanned(one)))).toEqual([])
})

test("every call that writes has a lock timeout", async () => {
  const functions = await readFunctions()
  const isBounded = sets(/^lock_timeout=/)
  const isWrapper = (one: SqlFunction) =>
    !usesTables(one) && functions.some((other) => isBounded(other) && calls(one, other))
  const unbounded = functions.filter((one) => one.fromOutside && one.volatile && !isBounded(one) && !isWrapper(one))
  expect(names(unbounded)).toEqual([])
})

test("every function resolves names in pg_catalog, whatever the search_path of its caller", async () => {
  const exposed = (await readFunctions()).filter((one) => one.hasText || one.fromOutside)
  expect(exposed.length).toBeGreaterThan(80)
  expect(names(exposed.filter((one) => !sets(/^search_path=pg_catalog, pg_temp$/)(one)))).toEqual([])
})

test("every function that is one expression, with neither a query in it nor settings, is inlined", async () => {
  const expressions = await owner.rows(`
    select
      p.proname as name,
      format('select ipam.%I(%s)', p.proname, string_agg('$' || a.ordinal, ', ' order by a.ordinal)) as call,
      coalesce('(' || string_agg(a.type::regtype::text, ', ' order by a.ordinal) || ')', '') as types,
      coalesce('(' || string_agg('null', ', ') filter (where a.type is not null) || ')', '') as nulls
    from pg_proc p left join lateral unnest(p.proargtypes) with ordinality a (type, ordinal) on true
    where p.pronamespace = 'ipam'::regnamespace and p.proconfig is null and not p.prosecdef
      and pg_get_function_sqlbody(p.oid) like 'RETURN %' and pg_get_function_sqlbody(p.oid) not like '%SELECT%'
    group by p.oid`)
  expect(expressions.length).toBeGreaterThan(10)
  const called: Array<string> = []
  for (const { name, call, types, nulls } of expressions) {
    await owner.run(`prepare one ${String(types)} as ${String(call)}`)
    await owner.run("set plan_cache_mode = force_generic_plan")
    const plan = await owner.rows(`explain (verbose, costs off) execute one ${String(nulls)}`)
    await owner.run("reset plan_cache_mode; deallocate one")
    if (JSON.stringify(plan).includes(`ipam.${String(name)}(`)) called.push(String(name))
  }
  expect(called).toEqual([])
})

test("the SQLSTATEs that functions raise are those of the table in contract/sqlState.ts", async () => {
  const raised = new Map<string, Array<string>>()
  for (const { name, source } of await readFunctions())
    for (const condition of new Set(
      [...source.matchAll(/errcode = '(\w+)'|raise sqlstate '(\w+)'|raise (\w+);/g)].map((match) =>
        match.slice(1).join(""),
      ),
    ))
      raised.set(condition, [...(raised.get(condition) ?? []), name].toSorted())
  const states = Object.values(raisedStates)
  expect([...raised.keys()].toSorted()).toEqual(states.map(({ condition }) => condition).toSorted())
  for (const { condition, by } of states) if (by !== undefined) expect(raised.get(condition), condition).toEqual(by)
  // States of our own (`IP...`) must not leave the call.
  for (const [state, { becomes }] of Object.entries(raisedStates))
    expect(becomes === undefined).toBe(state.startsWith("IP"))
})

test("no duration is in calendar units, which are longer or shorter when daylight saving time changes", async () => {
  const calendar = await owner.rows(`
    select p.oid::regprocedure::text as name
    from pg_proc p
    where p.pronamespace = 'ipam'::regnamespace and pg_get_functiondef(p.oid) ~ $$'\\d+ (day|week|mon|month|year)s?'$$`)
  expect(calendar).toEqual([])
  expect(await owner.rows("select horizon::text from ipam.retention")).toEqual([{ horizon: "2160:00:00" }])
})

test("the comment of every function is the header of its file", async () => {
  const rows = await owner.rows(
    `select p.proname as name, obj_description(p.oid, 'pg_proc') as comment
    from pg_proc p join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'ipam'::regnamespace and l.lanname in ('sql', 'plpgsql')`,
  )
  expect(rows.length).toBeGreaterThan(50)
  const files = await readdir(`${sqlFolder}functions`, { recursive: true })
  for (const { name, comment } of rows) {
    const file = files.find((path) => basename(path) === `${String(name)}.sql`) ?? "no file"
    const text = await readFile(`${sqlFolder}functions/${file}`, "utf8")
    const header = text.slice(0, text.indexOf("create or replace function")).trimEnd()
    expect(comment).toBe(header.replaceAll(/^-- ?/gm, ""))
  }
})

test("no line of the functions is longer than a screen", async () => {
  const files = (await readdir(`${sqlFolder}functions`, { recursive: true })).filter((path) => path.endsWith(".sql"))
  expect(files.length).toBeGreaterThan(50)
  for (const file of files) {
    const lines = (await readFile(`${sqlFolder}functions/${file}`, "utf8")).split("\n")
    expect(
      lines.filter((line) => line.length > 120),
      file,
    ).toEqual([])
  }
})

const anyFunction = "ipam.find_pool(text, text)"

/** An index on it alone, without its partition, is not valid. */
const partitioned =
  "create table ipam.other (id int) partition by range (id); create table ipam.part partition of ipam.other default"

test.each([
  ["a table", "create table ipam.other (id int)"],
  ["a storage parameter", "alter table ipam.allocation set (fillfactor = 33)"],
  ["a column", "alter table ipam.vrf add column other int"],
  ["a column that was dropped", "alter table ipam.vrf drop column created_at"],
  [
    "a length",
    "alter table ipam.vrf add column other varchar(10); alter table ipam.vrf alter other type varchar(11)",
    "alter table ipam.vrf add column other varchar(10)",
  ],
  ["a type", "alter table ipam.pool alter family type int"],
  ["a collation", `alter table ipam.allocation alter owner_kind type text collate "C"`],
  ["a default", "alter table ipam.vrf alter generation_floor set default 1"],
  ["not null", "alter table ipam.allocation alter allocated_at set not null"],
  [
    "a generated column",
    "alter table ipam.vrf add column other int generated always as (1 + 1) stored",
    "alter table ipam.vrf add column other int generated always as (1 + 2) stored",
  ],
  ["identity", "alter table ipam.pool alter pool_id set generated by default"],
  ["a sequence", "alter sequence ipam.pool_pool_id_seq cycle"],
  ["a check", "alter table ipam.pool drop constraint pool_size"],
  [
    "a check that is not validated",
    "alter table ipam.pool drop constraint pool_size; alter table ipam.pool add constraint pool_size check (size >= 0) not valid",
  ],
  [
    "a check of a domain",
    "alter domain ipam.name drop constraint name_length; alter domain ipam.name add constraint name_length check (char_length(value) between 1 and 201)",
  ],
  ["a default of a domain", "alter domain ipam.name set default 'x'"],
  ["a foreign key", "alter table ipam.range drop constraint range_pool_fkey"],
  ["an index", "drop index ipam.allocation_expiry"],
  [
    "the predicate of an index",
    "drop index ipam.allocation_expiry; create index allocation_expiry on ipam.allocation (vrf, expires_at) where released_at is null",
  ],
  [
    "an index that is not valid",
    `${partitioned}; create index part_id on ipam.part (id); create index other_id on only ipam.other (id)`,
    `${partitioned}; create index part_id on ipam.part (id); create index other_id on ipam.other (id)`,
  ],
  ["a composite type", "alter type ipam.answer add attribute other int"],
  [
    "the body of a function",
    "create function ipam.other() returns int language sql as 'select 1'",
    "create function ipam.other() returns int language sql as 'select 2'",
  ],
  [
    "the body of a function in standard SQL",
    "create function ipam.other() returns int language sql return 1",
    "create function ipam.other() returns int language sql return 2",
  ],
  ["volatility", `alter function ${anyFunction} volatile`],
  ["security definer", `alter function ${anyFunction} security definer`],
  ["a setting of a function", `alter function ${anyFunction} set work_mem = '1MB'`],
  ["strictness", `alter function ${anyFunction} strict`],
  ["parallel safety", `alter function ${anyFunction} parallel safe`],
  ["cost", `alter function ${anyFunction} cost 7`],
  [
    "a default of an argument",
    "create function ipam.other(a int default 1) returns int language sql as 'select 1'",
    "create function ipam.other(a int default 2) returns int language sql as 'select 1'",
  ],
  [
    "a trigger",
    "create trigger other before insert on ipam.vrf for each row execute function suppress_redundant_updates_trigger()",
  ],
  [
    "a trigger that is off",
    "create trigger other before update on ipam.vrf for each row execute function suppress_redundant_updates_trigger(); alter table ipam.vrf disable trigger other",
    "create trigger other before update on ipam.vrf for each row execute function suppress_redundant_updates_trigger()",
  ],
  ["a rule", "create rule other as on insert to ipam.vrf do also select 1"],
  ["row security", "alter table ipam.vrf enable row level security"],
  [
    "the roles of a policy",
    "create policy other on ipam.vrf to ipam_reader",
    "create policy other on ipam.vrf to ipam_operator",
  ],
  ["a view", "create view ipam.other as select 1 as a", "create view ipam.other as select 2 as a"],
  ["a grant on a table", "grant select on ipam.vrf to public"],
  ["a grant on a column", "grant select (vrf) on ipam.vrf to public"],
  ["a grant on a function", `grant execute on function ${anyFunction} to ipam_reader with grant option`],
  ["a grant on the schema", "grant create on schema ipam to public"],
  ["default privileges", "alter default privileges in schema ipam grant select on tables to public"],
  ["a comment", "comment on table ipam.vrf is 'another'"],
  ["a comment on a column", "comment on column ipam.vrf.vrf is 'another'"],
  ["a comment on a function", `comment on function ${anyFunction} is 'another'`],
  ["statistics", "create statistics ipam.other on vrf, created_at from ipam.vrf"],
])("the snapshot shows %s", async (_, change, instead?: string) => {
  const after = async (text: string) => {
    try {
      await owner.run(`begin; set local search_path = pg_catalog; ${text}`)
      return await dump()
    } finally {
      await owner.run("rollback")
    }
  }
  expect(await after(change)).not.toBe(instead === undefined ? before : await after(instead))
})
