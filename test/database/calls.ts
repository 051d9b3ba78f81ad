/** Set-up for tests of `Database`: a function to call, `put`, that waits while a test holds an advisory lock. */
import type * as Fiber from "effect/Fiber"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { afterEach, beforeAll, beforeEach } from "vitest"
import { Database, type DatabaseOptions, type Statement } from "../../src/database/Database.ts"
import { useDatabase, type Session, type TestDatabase } from "../harness/database.ts"

/** Inserts a key once. Waits as long as somebody holds the advisory lock 7. */
export const put: Statement = { text: "select put($1) as key", repeatable: true }
/** Returns a row while a call waits for that lock. */
export const waiting =
  "select pid from pg_stat_activity where application_name = 'probe' and datname = current_database() and wait_event = 'advisory'"
const running =
  "select from pg_stat_activity where application_name = 'probe' and datname = current_database() and state = 'active'"
/** Returns a row while no call runs. */
export const noneRunning = `select 1 where not exists (${running})`

export interface Calls {
  readonly start: (statement: Statement, parameters: ReadonlyArray<string>) => Fiber.Fiber<unknown, unknown>
  readonly call: (
    statement: Statement,
    parameters: ReadonlyArray<string>,
  ) => Promise<ReadonlyArray<Record<string, unknown>>>
  readonly close: () => Promise<void>
}

export interface CalledDatabase {
  readonly database: () => TestDatabase
  readonly owner: () => Session
  /** The keys that calls of `put` have inserted. */
  readonly effects: () => Promise<ReadonlyArray<unknown>>
  readonly withDatabase: <A>(options: DatabaseOptions, work: (database: Calls) => Promise<A>) => Promise<A>
}

/** Creates a database with `put` for the tests of a file; its keys are deleted before each test. */
export const useCalls = (): CalledDatabase => {
  const database = useDatabase("empty")
  let session: Session
  const owner = () => session

  beforeAll(async () => {
    session = database().session()
    await session.run(`
      create table effect (key text primary key);
      create function put(key text) returns text language plpgsql as $$
      begin
        perform pg_advisory_xact_lock(7);
        insert into effect values (put.key) on conflict on constraint effect_pkey do nothing;
        return put.key;
      end $$;
    `)
  })
  beforeEach(() => session.run("truncate effect"))
  afterEach(() => session.run("select pg_advisory_unlock_all()"))

  const context = { call: "put" }
  return {
    database,
    owner,
    effects: async () => (await session.rows("select key from effect order by key")).map((row) => row["key"]),
    withDatabase: async (options, work) => {
      const location = options.url === undefined ? database().options() : {}
      const runtime = ManagedRuntime.make(Database.layer({ ...location, applicationName: "probe", ...options }))
      try {
        const service = await runtime.runPromise(Effect.service(Database))
        // Not run in the runtime, which would interrupt the calls before it closes the pool.
        return await work({
          start: (statement, parameters) => Effect.runFork(service.queryAnySchema(statement, parameters, context)),
          call: (statement, parameters) => Effect.runPromise(service.queryAnySchema(statement, parameters, context)),
          close: () => runtime.dispose(),
        })
      } finally {
        await runtime.dispose()
      }
    },
  }
}
