import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest"
import { readCatalog } from "../../scripts/catalog.ts"
import { Database } from "../../src/database/Database.ts"
import { startTemporaryServer } from "../../src/embedded/temporary.ts"
import { migrate, sqlFolder, type MigrateOptions } from "../../src/database/migrate.ts"
import { SCHEMA_VERSION } from "../../src/database/schemaVersion.ts"
import { createDatabase, openSession, type Session, type TestDatabase } from "../harness/database.ts"

let folder: string
let database: TestDatabase
let owner: Session

const first = `
  create table ipam.schema_version (version int not null, compatible_from int not null);
  insert into ipam.schema_version values (1, 1);
  create table ipam.thing (id int);
`

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "migrate-"))
  await mkdir(join(folder, "migrations"))
  await mkdir(join(folder, "functions"))
  await put("migrations/0001_first.sql", first)
  await put("functions/b.sql", "create or replace function ipam.b() returns int language sql return 1;")
  await put("functions/a.sql", "create or replace function ipam.a() returns int language sql return ipam.b();")
  await put("settings.sql", "select 1")
  await put("grants.sql", "grant usage on schema ipam to public;")
  database = await createDatabase("empty")
  owner = database.session()
})
afterEach(async () => {
  await database.drop()
  await rm(folder, { recursive: true })
})

const put = (path: string, text: string) => writeFile(join(folder, path), text)
const run = (options: MigrateOptions = {}) =>
  Effect.runPromise(migrate({ folder, ...options }).pipe(Effect.provide(Database.layer(database.options()))))
const functions = async () => {
  const rows = await owner.rows(
    "select 'ipam.' || p.proname || '()' as name from pg_proc p where pronamespace = 'ipam'::regnamespace order by 1",
  )
  return rows.map((row) => row["name"])
}
const things = async () => (await owner.rows("select to_regclass('ipam.thing') is not null as found"))[0]?.["found"]

test("an empty database is migrated entirely; the second time, nothing is due", async () => {
  expect(await run()).toEqual({ applied: ["migrations/0001_first.sql"], version: 1, missingRoles: [] })
  expect(await run()).toEqual({ applied: [], version: 1, missingRoles: [] })
  expect(await functions()).toEqual(["ipam.a()", "ipam.b()"])
})

test.each(["''", "shadow, pg_catalog"])("the schema is the same under a search_path of %s", async (searchPath) => {
  await owner.run(`
    create schema shadow;
    create function shadow.clock_timestamp() returns timestamptz language sql as 'select timestamptz ''-infinity''';
    alter database ${database.name} set search_path = ${searchPath}`)
  await run({ folder: sqlFolder })
  const lines = await readCatalog(async (query) => (await owner.rows(query)).map((row) => String(row["line"])))
  expect(lines).toBe(await readFile(`${sqlFolder}schema.sql`, "utf8"))
})

test("the tables of the workflow engine are dropped once none of its sagas is pending", async () => {
  await run({ folder: sqlFolder })
  await owner.run(`
    delete from ipam.migration where file = 'migrations/0009_engine_removed.sql';
    update ipam.schema_version set version = 8, compatible_from = 1;
    create schema ipam_engine;
    create table ipam_engine.engine_messages (entity_id text);
    insert into ipam_engine.engine_messages values ('half-way'), ('forgotten');`)
  const begin = `select from ipam.begin_operation(gen_random_uuid(), 'default', 'Create', '{}', array['default'],
    array['instance'], array['i-1'], $1)`
  await owner.rows(begin, ["half-way"])
  await owner.rows(begin, ["of another engine"])
  await expect(run({ folder: sqlFolder })).rejects.toThrow(/1 of the sagas that version 0\.1 executed has not ended/)
  await expect(run({ folder: sqlFolder })).rejects.toMatchObject({ _tag: "DatabaseMisconfigured" })
  await owner.rows(
    "select from ipam.operation o cross join lateral ipam.finish_operation(o.operation_id, 'succeeded') where o.execution_id = 'half-way'",
  )
  expect(await run({ folder: sqlFolder })).toMatchObject({ applied: ["migrations/0009_engine_removed.sql"] })
  expect(await owner.rows("select to_regnamespace('ipam_engine') as engine")).toEqual([{ engine: null }])
})

test("a new migration is applied without the earlier ones", async () => {
  await run()
  await put("migrations/0002_next.sql", "alter table ipam.thing add column name text")
  expect(await run()).toMatchObject({ applied: ["migrations/0002_next.sql"] })
})

test("functions without a file are dropped, also those that depend on one another", async () => {
  await run()
  await rm(join(folder, "functions/a.sql"))
  await rm(join(folder, "functions/b.sql"))
  await put("functions/c.sql", "create or replace function ipam.c() returns int language sql return 3;")
  await run()
  expect(await functions()).toEqual(["ipam.c()"])
})

test("a function that was changed by hand is restored, except with onlyIfNeeded", async () => {
  await run()
  const damage = () => owner.run("create or replace function ipam.b() returns int language sql return 99;")
  const answer = async () => (await owner.rows("select ipam.a() as a"))[0]?.["a"]
  await damage()
  await run({ onlyIfNeeded: true })
  expect(await answer()).toBe(99)
  await run()
  expect(await answer()).toBe(1)
})

test("of four migrators at once, one applies the migration, and all succeed", async () => {
  const reports = await Promise.all([run(), run(), run(), run()])
  expect(reports.flatMap((report) => report.applied)).toEqual(["migrations/0001_first.sql"])
  expect(reports.map((report) => report.version)).toEqual([1, 1, 1, 1])
})

test("a migrator waits for another one, and then has nothing to do", async () => {
  await run()
  await put("migrations/0002_next.sql", "create table ipam.next (id int)")
  await owner.run("begin; lock table ipam.migration in access exclusive mode")
  const both = Promise.all([run(), run()])
  await database
    .session()
    .until(
      "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' having count(*) = 2",
    )
  await owner.run("commit")
  expect((await both).flatMap((report) => report.applied)).toEqual(["migrations/0002_next.sql"])
})

describe("a migration that fails", () => {
  test.each([
    ["in a statement", "migrations/0002_bad.sql", "create table ipam.half (id int); select 1 / 0;", /division by zero/],
    [
      "with its file named",
      "migrations/0002_bad.sql",
      "create table ipam.half (id int); select nope;",
      /0002_bad\.sql: column "nope" does not exist/,
    ],
    [
      "in a function",
      "functions/d.sql",
      "create function ipam.d() returns int language sql return nope;",
      /functions\/d\.sql: column "nope" does not exist/,
    ],
    [
      "in the settings",
      "settings.sql",
      "alter function ipam.nobodys set jit = off",
      /could not find a function named "ipam.nobodys"/,
    ],
    [
      "in the grants",
      "grants.sql",
      "grant usage on schema ipam to nobody_at_all",
      /role "nobody_at_all" does not exist/,
    ],
  ])("leaves nothing behind: %s", async (_, path, text, reason) => {
    await put(path, text)
    await expect(run()).rejects.toThrow(reason)
    expect(await things()).toBe(false)
    expect(await owner.rows("select 1 from pg_namespace where nspname = 'ipam'")).toEqual([])
  })

  test("can be corrected and run again", async () => {
    await put("migrations/0002_bad.sql", "select 1 / 0")
    await expect(run()).rejects.toThrow()
    await put("migrations/0002_bad.sql", "select 1")
    expect(await run()).toMatchObject({ applied: ["migrations/0001_first.sql", "migrations/0002_bad.sql"] })
  })

  test("because its connection was lost leaves nothing behind, and is not retried", async () => {
    await put("migrations/0002_slow.sql", "select pg_advisory_xact_lock(7)")
    await owner.run("select pg_advisory_lock(7)")
    const running = run()
    const lost = expect(running).rejects.toMatchObject({ _tag: "DatabaseUnavailable", call: "migrate" })
    const { pid } = await owner.until(
      "select pid from pg_stat_activity where datname = current_database() and wait_event = 'advisory'",
    )
    await owner.run(`select pg_terminate_backend(${String(pid)})`)
    await lost
    expect(await things()).toBe(false)
  })
})

test("the file of an applied migration must not change", async () => {
  await run()
  await put("migrations/0001_first.sql", `${first} -- changed`)
  await expect(run()).rejects.toThrow("migrations/0001_first.sql has changed since it was applied")
})

test("a role that may not migrate is refused, with the role that may", async () => {
  const role = `${database.name}_stranger`
  await owner.run(`create role ${role} role current_user`)
  const url = `${database.url()}&options=-c%20role%3D${role}`
  const refused = Effect.runPromise(migrate({ folder }).pipe(Effect.provide(Database.layer({ url }))))
  await expect(refused).rejects.toMatchObject({ _tag: "NotPermitted", code: "42501" })
  await expect(refused).rejects.toThrow(/a migration needs the owner of the database .*; nothing was written$/)
  await owner.run(`drop role ${role}`)
})

test("a role that may not create roles reports which are missing, until somebody has created them", async () => {
  const server = await startTemporaryServer("ipam-migrate-", { durable: false })
  onTestFinished(server.stop)
  const { host, port, user } = server
  const admin = openSession({ host, port, user, database: "postgres" })
  await admin.run("create role plain login")
  await admin.run("create database plain owner plain")
  const migrated = () =>
    Effect.runPromise(migrate().pipe(Effect.provide(Database.layer({ host, port, user: "plain", database: "plain" }))))
  const roles = ["ipam_allocator", "ipam_operator", "ipam_reader"]
  expect(await migrated()).toMatchObject({ version: SCHEMA_VERSION, missingRoles: roles })
  await admin.run(roles.map((role) => `create role ${role} nologin`).join(";"))
  expect(await migrated()).toMatchObject({ missingRoles: [] })
  const session = openSession({ host, port, user, database: "plain" })
  await session.run("set role ipam_reader; select * from ipam.list_pools()")
  await session.end()
  await admin.end()
})

const newer = SCHEMA_VERSION + 1
describe("a schema that does not fit the library", () => {
  const write = { text: "insert into ipam.thing values (1) returning id", repeatable: false }
  const attempt = async () => {
    const runtime = ManagedRuntime.make(Database.layer(database.options()))
    const service = await runtime.runPromise(Effect.service(Database))
    const outcome = await runtime.runPromise(Effect.flip(service.query(write, [], { call: "write" })))
    await runtime.dispose()
    return outcome
  }

  test("because there is none is too old", async () => {
    expect(await attempt()).toMatchObject({ _tag: "SchemaTooOld", version: null })
  })

  test("because it is older is too old, and nothing is written", async () => {
    await run()
    await owner.run("update ipam.schema_version set version = 0, compatible_from = 0")
    const error = await attempt()
    expect(error).toMatchObject({ _tag: "SchemaTooOld", version: 0, library: SCHEMA_VERSION })
    expect(String(error)).toContain("saga-ipam migrate")
    expect(await owner.rows("select * from ipam.thing")).toEqual([])
  })

  test("because it needs a newer library is too new, and nothing is written", async () => {
    await run()
    await owner.run(`update ipam.schema_version set version = ${newer}, compatible_from = ${newer}`)
    const error = await attempt()
    expect(error).toMatchObject({
      _tag: "SchemaTooNew",
      version: newer,
      compatibleFrom: newer,
      library: SCHEMA_VERSION,
    })
    expect(String(error)).toContain("upgrade saga-ipam")
    expect(await owner.rows("select * from ipam.thing")).toEqual([])
  })

  test("only in that it is newer but compatible can be used, and is not migrated back", async () => {
    await run()
    await owner.run(`update ipam.schema_version set version = ${newer}, compatible_from = 1`)
    await expect(attempt()).rejects.toBeDefined()
    expect(await owner.rows("select * from ipam.thing")).toEqual([{ id: 1 }])
    await expect(run()).rejects.toMatchObject({ _tag: "SchemaTooNew" })
  })

  test("any more, because it was migrated under a running client, is found by the next call", async () => {
    await run()
    await owner.run(`update ipam.schema_version set version = ${SCHEMA_VERSION}`)
    const runtime = ManagedRuntime.make(Database.layer(database.options()))
    const service = await runtime.runPromise(Effect.service(Database))
    const call = service.query({ text: "select ipam.a() as a", repeatable: true }, [], { call: "a" })
    expect(await runtime.runPromise(call)).toEqual([{ a: 1 }])
    await owner.run(
      `update ipam.schema_version set version = ${newer}, compatible_from = ${newer}; drop function ipam.a()`,
    )
    await expect(runtime.runPromise(call)).rejects.toMatchObject({ _tag: "SchemaTooNew" })
    await runtime.dispose()
  })
})
