/**
 * A database for each test file, and plain sessions that inspect it independently of the code under test.
 */
import { randomBytes } from "node:crypto"
import postgres from "postgres"
import { afterAll, beforeAll, inject } from "vitest"
import type { DatabaseOptions } from "../../src/database/settings.ts"
import { until } from "./until.ts"

/** The server of this test run, which `server.ts` provides. `host` may be the folder of a unix socket. */
export interface TestServer {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password?: string | undefined
  /** An existing database, to connect to when creating others. */
  readonly database: string
}

/** The role that makes calls; `undefined` is the owner. */
export type TestRole = "ipam_allocator" | "ipam_operator" | "ipam_reader"

export interface TestDatabase {
  readonly name: string
  /** Connection options for the library, in the role. */
  readonly options: (role?: TestRole) => DatabaseOptions
  /** The same as a URL, for the promise API and the CLI. */
  readonly url: (role?: TestRole) => string
  /** A new connection of the owner: to inspect or damage tables, and to hold transactions open. */
  readonly session: () => Session
  readonly drop: () => Promise<void>
}

/** One connection. Statements run one after another; a transaction stays open until it is ended. */
export interface Session {
  /** Runs one or more statements without parameters, such as `begin`. */
  readonly run: (text: string) => Promise<void>
  readonly rows: (
    text: string,
    parameters?: ReadonlyArray<string | number | boolean | null>,
  ) => Promise<Array<Record<string, unknown>>>
  /** Describes a statement, as the server parses it: the types of its parameters, and the names and types of its columns. */
  readonly describe: (text: string) => Promise<Description>
  /** Repeats the query until it returns a row, and returns that row. */
  readonly until: (text: string, parameters?: ReadonlyArray<string | number>) => Promise<Record<string, unknown>>
  readonly end: () => Promise<void>
}

export interface Description {
  readonly parameters: ReadonlyArray<string>
  readonly columns: ReadonlyArray<readonly [name: string, type: string]>
}

export const optionsOf = (server: TestServer, database: string): DatabaseOptions => ({
  host: server.host,
  port: server.port,
  user: server.user,
  password: server.password,
  database,
})

const urlOf = (server: TestServer, database: string, role?: TestRole): string => {
  const password = server.password === undefined ? "" : `:${encodeURIComponent(server.password)}`
  const query = new URLSearchParams({ host: server.host, port: String(server.port) })
  if (role !== undefined) query.set("options", `-c role=${role}`)
  return `postgres://${encodeURIComponent(server.user)}${password}@/${database}?${query}`
}

export const openSession = (options: DatabaseOptions): Session => {
  const { host, port, user, password, database } = options
  const client = postgres({
    max: 1,
    fetch_types: false,
    onnotice: () => undefined,
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { password }),
    ...(database === undefined ? {} : { database }),
  })
  const rows: Session["rows"] = async (text, parameters = []) => [
    ...(await client.unsafe<Array<Record<string, unknown>>>(text, [...parameters])),
  ]
  return {
    run: async (text) => {
      await client.unsafe(text)
    },
    rows,
    describe: async (text) => {
      // With a list of parameters, though an empty one, it is prepared.
      const options = { prepare: true, simple: false } as postgres.UnsafeQueryOptions
      const { types, columns } = await client.unsafe(text, [], options).describe()
      const named = await rows(
        "select format_type(t.oid, null) as name from unnest($1::oid[]) with ordinality t (oid, n) order by t.n",
        [`{${[...types, ...columns.map(({ type }) => type)].join(",")}}`],
      )
      const names = named.map((row) => String(row["name"]))
      return {
        parameters: names.slice(0, types.length),
        columns: columns.map(({ name }, index) => [name, names[types.length + index] ?? ""]),
      }
    },
    until: (text, parameters) => until(text, async () => (await rows(text, parameters))[0]),
    end: () => client.end({ timeout: 1 }),
  }
}

/**
 * Drops a database, whoever is connected to it. FORCE is refused to whoever is no superuser while autovacuum works there, which a plain
 * DROP ends by itself.
 */
export const dropDatabase = async (admin: Session, name: string): Promise<void> => {
  const drop = `drop database if exists ${name}`
  await admin.run(`${drop} with (force)`).catch(() => admin.run(drop))
}

/** Creates a migrated database, or with `empty` one without a schema. */
export const createDatabase = async (kind: "migrated" | "empty" = "migrated"): Promise<TestDatabase> => {
  const server = inject("server")
  const template = inject("template")
  const name = `${template}_${randomBytes(5).toString("hex")}`
  const admin = openSession(optionsOf(server, server.database))
  await admin.run(`create database ${name}${kind === "empty" ? "" : ` template ${template}`}`)
  const sessions = new Set<Session>()
  return {
    name,
    options: (role) => (role === undefined ? optionsOf(server, name) : { url: urlOf(server, name, role) }),
    url: (role) => urlOf(server, name, role),
    session: () => {
      const session = openSession(optionsOf(server, name))
      sessions.add(session)
      return session
    },
    drop: async () => {
      await Promise.all([...sessions].map((session) => session.end()))
      await dropDatabase(admin, name)
      await admin.end()
    },
  }
}

/** A database for the tests of this file or `describe`: created before the first, dropped after the last. */
export const useDatabase = (kind: "migrated" | "empty" = "migrated"): (() => TestDatabase) => {
  let database: TestDatabase | undefined
  beforeAll(async () => {
    database = await createDatabase(kind)
  })
  afterAll(() => database?.drop())
  return () => {
    if (database === undefined) throw new Error("the database exists only while tests run")
    return database
  }
}
