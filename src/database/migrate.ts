/**
 * Migrates the schema of a database to the version of this library: applies each numbered migration once, and creates all functions,
 * their settings and the grants anew.
 *
 * Everything is sent as one simple query with its own BEGIN and COMMIT, so that an error, a lost connection or a second migrator
 * leave either all of it or nothing.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { Contended, SchemaTooNew } from "../errors/errors.ts"
import { Database, type DatabaseError, type Server, type Statement } from "./Database.ts"
import { onEach, serversOf } from "./servers.ts"
import { toDomainError, type Failure } from "../contract/sqlState.ts"
import { SCHEMA_VERSION } from "./schemaVersion.ts"

/** The folder `sql` of this package: two levels above both `src/database` and `dist/database`. */
export const sqlFolder = fileURLToPath(new URL("../../sql/", import.meta.url))

export interface MigrateOptions {
  /** The folder of `migrations/`, `functions/`, `settings.sql` and `grants.sql`. Default `sqlFolder`. */
  readonly folder?: string
  /** Do nothing if every file is as it was applied. Default `false`: functions, settings and grants are created again anyway. */
  readonly onlyIfNeeded?: boolean
  /** How long the migration may take in all, including the wait for another one. Default 600 s. */
  readonly timeoutSeconds?: number
}

/**
 * What a migration did, on all servers together. `applied`: the migrations it applied, in order. `version`: the schema version now.
 * `missingRoles`: the saga-ipam roles that do not exist, because the migrating role may not create any; the next migration grants to
 * those that then do.
 */
export interface MigrateReport {
  readonly applied: ReadonlyArray<string>
  readonly version: number
  readonly missingRoles: ReadonlyArray<string>
}

/** An SQL file; `path` is relative to the folder, e.g. `migrations/0001_allocator.sql`. */
interface SqlFile {
  readonly path: string
  readonly text: string
}

/**
 * Migrates the database; safe to run at any time and from several processes at once. The role must own the database, or the schema
 * and its extensions. Dies if a migration fails, or if the file of an applied migration has changed.
 */
export const migrate = Effect.fn("migrate")(function* (
  options: MigrateOptions = {},
): Effect.fn.Return<MigrateReport, DatabaseError | SchemaTooNew, Database> {
  const files = yield* Effect.promise(() => readFiles(options.folder ?? sqlFolder))
  const timeoutMs = (options.timeoutSeconds ?? 600) * 1000
  const reports = yield* onEach(serversOf(yield* Database), (server) =>
    Effect.retry(migrateOnce(server, files, options.onlyIfNeeded ?? false, timeoutMs), {
      // Another migrator was first: find out again what is still due.
      while: (problem) => problem instanceof OvertakenByAnother,
      schedule: Schedule.recurs(20),
    }).pipe(
      Effect.catchIf(
        (problem) => problem instanceof OvertakenByAnother,
        () => Effect.fail(new Contended(context)),
      ),
    ),
  )
  const inAny = (list: "applied" | "missingRoles") => [...new Set(reports.flatMap((report) => report[list]))]
  return {
    applied: inAny("applied").toSorted(),
    version: Math.min(...reports.map(({ version }) => version)),
    missingRoles: inAny("missingRoles").toSorted(),
  }
})

class OvertakenByAnother {}

const readApplied: Statement = { text: "select file, checksum from ipam.migration order by file", repeatable: true }
const hasMigrations: Statement = { text: "select to_regclass('ipam.migration') is not null as found", repeatable: true }
const readMissingRoles: Statement = {
  text: `select r.role from unnest(array['ipam_allocator', 'ipam_operator', 'ipam_reader']) with ordinality r (role, n)
where not exists (select from pg_catalog.pg_roles known where known.rolname = r.role) order by r.n`,
  repeatable: true,
}
const context = { call: "migrate" }

const migrateOnce = Effect.fnUntraced(function* (
  database: Server,
  files: SqlFiles,
  onlyIfNeeded: boolean,
  timeoutMs: number,
) {
  const before = yield* database.schemaVersion
  if (before !== undefined && before.version > SCHEMA_VERSION) {
    return yield* new SchemaTooNew({ ...before, library: SCHEMA_VERSION })
  }
  const [known] = yield* database.queryAnySchema(hasMigrations, [], context)
  const rows = known?.["found"] === true ? yield* database.queryAnySchema(readApplied, [], context) : []
  const applied = new Map(rows.map((row) => [String(row["file"]), String(row["checksum"])]))

  const changed = files.migrations.find((file) => (applied.get(file.path) ?? checksum(file)) !== checksum(file))
  if (changed !== undefined) return yield* Effect.die(new Error(`${changed.path} has changed since it was applied`))
  const due = files.migrations.filter((file) => !applied.has(file.path))
  const recreated = [...files.functions, files.settings, files.grants]
  const isCurrent = due.length === 0 && applied.get("functions and grants") === checksumOfAll(recreated)
  if (!(isCurrent && onlyIfNeeded)) {
    const script = assemble(files, due, applied)
    yield* Effect.catch(database.script(script.text, timeoutMs), (failure) => failNamingFile(failure, script))
  }
  const after = yield* database.schemaVersion
  const missing = yield* database.queryAnySchema(readMissingRoles, [], context)
  return {
    applied: due.map((file) => file.path),
    version: after?.version ?? 0,
    missingRoles: missing.map((row) => String(row["role"])),
  }
})

interface SqlFiles {
  readonly migrations: ReadonlyArray<SqlFile>
  readonly functions: ReadonlyArray<SqlFile>
  readonly settings: SqlFile
  readonly grants: SqlFile
}

const readFiles = async (folder: string): Promise<SqlFiles> => {
  const readFolder = async (name: string) => {
    const found = await readdir(`${folder}/${name}`, { recursive: true })
    const names = found
      .map((file) => file.replaceAll("\\", "/"))
      .filter((file) => file.endsWith(".sql"))
      .toSorted()
    return Promise.all(names.map((file) => readOne(`${name}/${file}`)))
  }
  const readOne = async (path: string): Promise<SqlFile> => ({
    path,
    text: await readFile(`${folder}/${path}`, "utf8"),
  })
  const [migrations, functions, settings, grants] = await Promise.all([
    readFolder("migrations"),
    readFolder("functions"),
    readOne("settings.sql"),
    readOne("grants.sql"),
  ])
  return { migrations, functions: inDependencyOrder(functions), settings, grants }
}

/** Each function after those that its text names, since the bodies of SQL functions are checked when they are created. */
const inDependencyOrder = (files: ReadonlyArray<SqlFile>): ReadonlyArray<SqlFile> => {
  const ordered = new Set<SqlFile>()
  const seen = new Set<SqlFile>()
  const visit = (file: SqlFile) => {
    if (seen.has(file)) return
    seen.add(file)
    const named = new Set([...file.text.matchAll(/\bipam\.(\w+)/g)].map((match) => match[1]))
    files.filter((other) => named.has(functionOf(other))).forEach(visit)
    ordered.add(file)
  }
  files.forEach(visit)
  return [...ordered]
}

/** A file has the name of its function, and lies in the folder of a family of functions. */
const functionOf = ({ path }: SqlFile): string | undefined => /(\w+)\.sql$/.exec(path)?.[1]

const checksum = (file: SqlFile): string => createHash("sha256").update(file.text).digest("hex")
const checksumOfAll = (files: ReadonlyArray<SqlFile>): string =>
  createHash("sha256")
    .update(files.map((file) => `${file.path} ${checksum(file)}`).join("\n"))
    .digest("hex")

/** The text of the whole migration, and where each part begins, so that the position of an error tells its file. */
interface Script {
  readonly text: string
  readonly parts: ReadonlyArray<{ readonly path: string; readonly start: number }>
}

const assemble = (files: SqlFiles, due: ReadonlyArray<SqlFile>, applied: ReadonlyMap<string, string>): Script => {
  const seen = [...applied]
    .map(([file, sum]) => `${file} ${sum}`)
    .toSorted()
    .join("\n")
  const recreated = [...files.functions, files.settings, files.grants]
  const pieces: ReadonlyArray<SqlFile> = [
    { path: "begin", text: preamble(createHash("sha256").update(seen).digest("hex")) },
    ...due.flatMap((file) => [file, { path: file.path, text: record(file.path, checksum(file)) }]),
    { path: "functions", text: "set local check_function_bodies = off" },
    ...files.functions.map(withComment),
    { path: "functions", text: dropStale },
    files.settings,
    files.grants,
    { path: "end", text: `${record("functions and grants", checksumOfAll(recreated))};\ncommit` },
  ]
  let text = ""
  const parts = pieces.map((piece) => {
    const start = text.length
    text += `${piece.text}\n;\n`
    return { path: piece.path, start }
  })
  return { text, parts }
}

/** Adds the header of the file as the function's comment, which psql shows. */
const withComment = (file: SqlFile): SqlFile => {
  const { path, text } = file
  const header = /^(?:--.*\n)+/.exec(text)?.[0].replaceAll(/^-- ?/gm, "").trim()
  const name = functionOf(file)
  if (header === undefined || name === undefined) return { path, text }
  return { path, text: `${text}\n;\ncomment on function ipam.${name} is $comment$${header}$comment$` }
}

/**
 * Begins the migration. Lets one migrator in at a time, and fails with 40001 if another has applied anything since this one read
 * what was applied; `seen` is the checksum of what it read.
 *
 * The search path is `pg_catalog` alone, so that no object of a role's or a database's search path is used by mistake.
 */
const preamble = (seen: string): string => `begin;
set local statement_timeout = 0;
set local client_min_messages = warning;
set local search_path = pg_catalog;
select pg_advisory_xact_lock(${lockKey});
create extension if not exists btree_gist schema public;
do $$
declare
  seen text := '';
begin
  if to_regnamespace('ipam') is null then
    create schema ipam;
  end if;
  if to_regclass('ipam.migration') is null then
    create table ipam.migration (
      file text not null,
      checksum text not null,
      applied_at timestamptz not null default now(),
      constraint migration_pkey primary key (file)
    );
    comment on table ipam.migration is 'What was applied to this schema, by file, with the SHA-256 of its text.';
  end if;
  select coalesce(string_agg(file || ' ' || checksum, chr(10) order by file || ' ' || checksum collate "C"), '')
  into seen from ipam.migration;
  if encode(sha256(convert_to(seen, 'UTF8')), 'hex') <> '${seen}' then
    raise exception 'another migration finished first' using errcode = '40001';
  end if;
end
$$`

/** The advisory lock of migrators: an arbitrary number that must be the same in every release. */
const lockKey = 4_725_346_127

const record = (file: string, sum: string): string =>
  `insert into ipam.migration (file, checksum) values ('${file}', '${sum}')
on conflict (file) do update set checksum = excluded.checksum, applied_at = excluded.applied_at`

/** Drops functions that this transaction did not create again and that nothing depends on: those of earlier releases. */
const dropStale = `do $$
declare
  stale record;
  found boolean := true;
begin
  while found loop
    found := false;
    for stale in
      select p.oid::regprocedure as signature, p.prokind
      from pg_proc p
      where p.pronamespace = 'ipam'::regnamespace
        and p.xmin <> pg_current_xact_id()::xid
        and not exists (
          select from pg_depend d
          where d.refclassid = 'pg_proc'::regclass and d.refobjid = p.oid and d.deptype in ('n', 'a', 'i')
        )
        and not exists (
          select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype in ('e', 'i')
        )
    loop
      execute format('drop %s %s', case stale.prokind when 'p' then 'procedure' else 'function' end, stale.signature);
      found := true;
    end loop;
  end loop;
end
$$`

/** Fails with the error of the migration, naming the file in which it occurred. */
const failNamingFile = (failure: Failure, script: Script): Effect.Effect<never, DatabaseError | OvertakenByAnother> => {
  if (failure.kind === "conflict") return Effect.fail(new OvertakenByAnother())
  const cause = failure.cause
  const position = cause instanceof Error && "position" in cause ? Number(cause.position) : undefined
  const part = position === undefined ? undefined : script.parts.findLast((one) => one.start < position)
  const needs = failure.kind === "not_permitted" ? "; a migration needs the owner of the database" : ""
  const reason = `${part === undefined ? "" : `${part.path}: `}${failure.reason}${needs}`
  const error = failure.kind === "invalid" ? undefined : toDomainError({ ...failure, reason }, context)
  return error === undefined
    ? Effect.die(new Error(`The migration failed and changed nothing: ${reason}`, { cause }))
    : Effect.fail(error)
}
