/**
 * What becomes of a call when its connection, its caller or the server's patience is lost. Races are held by an advisory lock
 * that the statement waits for.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { createServer, type Server } from "node:net"
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { Database, type DatabaseOptions, type Statement } from "../../src/database/Database.ts"
import { useDatabase, type Session } from "../support/database.ts"

const database = useDatabase("empty")
let owner: Session

beforeAll(async () => {
  owner = database().session()
  await owner.run(`
    create table effect (key text primary key, tries int not null default 1);
    create function put(key text) returns text language plpgsql as $$
    begin
      perform pg_advisory_xact_lock(7);
      insert into effect values (put.key) on conflict do nothing;
      return put.key;
    end $$;
  `)
})
beforeEach(() => owner.run("truncate effect"))
afterEach(() => owner.run("select pg_advisory_unlock_all()"))

const put: Statement = { text: "select put($1) as key", repeatable: true }
const one: Statement = { text: "select 1 as one", repeatable: true }
const context = { call: "put" }

const withDatabase = async <A>(options: DatabaseOptions, work: (database: Calls) => Promise<A>): Promise<A> => {
  const place = options.url === undefined ? database().options() : {}
  const runtime = ManagedRuntime.make(Database.layer({ ...place, applicationName: "probe", ...options }))
  try {
    const service = await runtime.runPromise(Effect.service(Database))
    return await work({
      start: (statement, parameters) => runtime.runFork(service.queryAnySchema(statement, parameters, context)),
      call: (statement, parameters) => runtime.runPromise(service.queryAnySchema(statement, parameters, context)),
      close: () => runtime.dispose(),
    })
  } finally {
    await runtime.dispose()
  }
}
interface Calls {
  readonly start: (statement: Statement, parameters: ReadonlyArray<string>) => Fiber.Fiber<unknown, unknown>
  readonly call: (
    statement: Statement,
    parameters: ReadonlyArray<string>,
  ) => Promise<ReadonlyArray<Record<string, unknown>>>
  readonly close: () => Promise<void>
}

const waiting =
  "select pid from pg_stat_activity where application_name = 'probe' and datname = current_database() and wait_event = 'advisory'"
const nobodyBusy = `select 1 where not exists (
  select from pg_stat_activity where application_name = 'probe' and datname = current_database() and state = 'active')`
const effects = async () => (await owner.rows("select key from effect order by key")).map((row) => row["key"])

describe("a connection that is lost in the middle of a call", () => {
  test("is followed by the same call on another, and the result is definite", async () => {
    await withDatabase({}, async ({ call }) => {
      await owner.run("select pg_advisory_lock(7)")
      const answer = call(put, ["k"])
      const { pid } = await owner.until(waiting)
      await owner.run(`select pg_terminate_backend(${String(pid)})`)
      await owner.until(`${waiting} and pid <> ${String(pid)}`)
      await owner.run("select pg_advisory_unlock_all()")
      expect(await answer).toEqual([{ key: "k" }])
      expect(await effects()).toEqual(["k"])
    })
  })

  test("leaves a call without a key to its caller", async () => {
    await withDatabase({}, async ({ call }) => {
      await owner.run("select pg_advisory_lock(7)")
      const answer = call({ ...put, repeatable: false }, ["k"])
      const refused = expect(answer).rejects.toMatchObject({ _tag: "DatabaseUnavailable", call: "put" })
      const { pid } = await owner.until(waiting)
      await owner.run(`select pg_terminate_backend(${String(pid)})`)
      await refused
    })
  })

  test("while it was idle is not noticed by the caller", async () => {
    await withDatabase({ max: 1 }, async ({ call }) => {
      await call(one, [])
      await owner.run(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'probe' and datname = current_database()",
      )
      expect(await call(one, [])).toEqual([{ one: 1 }])
    })
  })
})

describe("a caller that is interrupted", () => {
  test("leaves nothing running on the server, and the key free for the next try", async () => {
    await withDatabase({ max: 1 }, async ({ start, call }) => {
      await owner.run("select pg_advisory_lock(7)")
      const fiber = start(put, ["k"])
      await owner.until(waiting)
      await Effect.runPromise(Fiber.interrupt(fiber))
      expect(await owner.rows(waiting)).toEqual([])
      expect(await effects()).toEqual([])
      await owner.run("select pg_advisory_unlock_all()")
      expect(await call(put, ["k"])).toEqual([{ key: "k" }])
    })
  })

  test("does not take another's statement with it: the connection is free only when the cancel has passed", async () => {
    // A statement that is cancelled by mistake is repeated, so the repetition is what tells: sequences are not rolled back.
    await owner.run("create sequence runs")
    await withDatabase({ max: 1 }, async ({ start, call }) => {
      for (let round = 1; round <= 200; round++) {
        const fiber = start({ text: "select pg_sleep(0.001)", repeatable: false }, [])
        const next = call(
          { text: "select nextval('runs') as run, pg_sleep(0.002) is null as slept", repeatable: false },
          [],
        )
        await new Promise((resolve) => setTimeout(resolve, round % 3))
        await Effect.runPromise(Fiber.interrupt(fiber))
        expect(await next).toEqual([{ run: String(round), slept: false }])
      }
    })
  })

  test("before a connection was free sends nothing", async () => {
    await withDatabase({ max: 1 }, async ({ start, call }) => {
      await owner.run("select pg_advisory_lock(7)")
      const first = call(put, ["first"])
      await owner.until(waiting)
      const second = start(put, ["second"])
      await Effect.runPromise(Fiber.interrupt(second))
      await owner.run("select pg_advisory_unlock_all()")
      await first
      await owner.until(nobodyBusy)
      expect(await effects()).toEqual(["first"])
    })
  })
})

describe("the deadline", () => {
  test("ends a statement on the server, and the answer says what to do", async () => {
    await withDatabase({ timeoutSeconds: 0.3 }, async ({ call }) => {
      await owner.run("select pg_advisory_lock(7)")
      await expect(call(put, ["k"])).rejects.toMatchObject({ _tag: "DatabaseUnavailable", outcomeUnknown: true })
      expect(await owner.rows(waiting)).toEqual([])
      expect(await effects()).toEqual([])
    })
  })

  test("is kept without any setting of the server's, as behind a pooler", async () => {
    await withDatabase({ timeoutSeconds: 0.3, prepare: false }, async ({ call }) => {
      const [row] = await call({ text: "select current_setting('statement_timeout') as limit", repeatable: true }, [])
      expect(row).toEqual({ limit: "0" })
      await owner.run("select pg_advisory_lock(7)")
      await expect(call(put, ["k"])).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
      expect(await owner.rows(waiting)).toEqual([])
    })
  })

  test("counts the wait for a free connection", async () => {
    await withDatabase({ max: 1, timeoutSeconds: 0.3 }, async ({ call }) => {
      await owner.run("select pg_advisory_lock(7)")
      const both = await Promise.allSettled([call(put, ["a"]), call(put, ["b"])])
      expect(both.map((one) => one.status)).toEqual(["rejected", "rejected"])
      expect(await effects()).toEqual([])
    })
  })

  describe("of a server that accepts and then says nothing", () => {
    let silent: Server
    let ended: Promise<void>
    beforeEach(async () => {
      ended = new Promise((resolve) => {
        silent = createServer((socket) => socket.resume().once("close", () => resolve()))
      })
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
    })
    afterEach(() => silent.close())

    test("is kept, and nothing stays open", async () => {
      const address = silent.address()
      if (address === null || typeof address === "string") throw new Error("no port")
      const options = { host: "127.0.0.1", port: address.port, ssl: false, timeoutSeconds: 0.3 }
      await withDatabase(options, async ({ call }) => {
        await expect(call(one, [])).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
      })
      await ended
    })
  })
})

test("more callers than connections are all served, one statement at a time on each", async () => {
  await withDatabase({ max: 3 }, async ({ call }) => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        call({ text: "select $1::int as n, pg_backend_pid() as pid", repeatable: true }, [String(index)]),
      ),
    )
    expect(answers.map(([row]) => row?.["n"])).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(new Set(answers.map(([row]) => row?.["pid"])).size).toBeLessThanOrEqual(3)
  })
})

test("values come as they are: no loss in big numbers, times in UTC whatever the database says", async () => {
  await owner.run(`alter database ${database().name} set timezone = 'Asia/Tokyo'`)
  await owner.run(`alter database ${database().name} set datestyle = 'German'`)
  await withDatabase({}, async ({ call }) => {
    const text = `select 9223372036854775807::int8 as i, 340282366920938463463374607431768211456::numeric as n,
      '2001:db8::5'::inet as a, '2026-01-02T03:04:05.678901+09'::timestamptz as t, '{"a": [1]}'::jsonb as j, true as b`
    expect(await call({ text, repeatable: true }, [])).toEqual([
      {
        i: "9223372036854775807",
        n: "340282366920938463463374607431768211456",
        a: "2001:db8::5",
        t: "2026-01-01 18:04:05.678901+00",
        j: { a: [1] },
        b: true,
      },
    ])
  })
})

describe("a failure to connect", () => {
  const password = "s3cr3t-word"
  test.each<[string, DatabaseOptions]>([
    ["a name that no DNS knows", { host: "no-such-host.invalid", password }],
    ["a port where nobody listens", { host: "127.0.0.1", port: 1, password }],
    ["a folder without a socket", { host: "/nowhere", password }],
    ["a database that is not there", { database: "no_such_database", password }],
    ["a user that is not there", { user: "no_such_user", password }],
    ["a URL", { url: `postgres://u:${password}@127.0.0.1:1/d` }],
  ])("is DatabaseUnavailable, and shows the password nowhere: %s", async (_, options) => {
    await withDatabase({ ...options, timeoutSeconds: 0.5 }, async ({ call }) => {
      const error: unknown = await call(one, []).catch((cause: unknown) => cause)
      expect(error).toMatchObject({ _tag: "DatabaseUnavailable", call: "put" })
      expect(everythingOf(error)).not.toContain(password)
    })
  })
})

test("a password that the server refuses is shown nowhere", async () => {
  const password = "s3cr3t-word"
  const refusing = createServer((socket) => {
    socket.once("data", () => {
      const fields = `SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "u"\0\0`
      const head = Buffer.alloc(5)
      head.write("E")
      head.writeInt32BE(fields.length + 4, 1)
      socket.end(Buffer.concat([head, Buffer.from(fields)]))
    })
  })
  await new Promise<void>((resolve) => refusing.listen(0, "127.0.0.1", resolve))
  const address = refusing.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  await withDatabase({ host: "127.0.0.1", port: address.port, user: "u", password, ssl: false }, async ({ call }) => {
    const error: unknown = await call(one, []).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ _tag: "DatabaseUnavailable", code: "28P01" })
    expect(everythingOf(error)).not.toContain(password)
  })
  refusing.close()
})

test("a closed pool refuses, and its connections are gone from the server", async () => {
  await withDatabase({}, async ({ call, close }) => {
    await call(one, [])
    await close()
    await owner.until(
      "select 1 where not exists (select from pg_stat_activity where application_name = 'probe' and datname = current_database())",
    )
  })
})

/** What a log could show of an error: its text, its stack, its fields, its causes. */
const everythingOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const fields = Object.getOwnPropertyNames(error).map((name) => String(Reflect.get(error, name)))
  return [String(error), JSON.stringify(error), ...fields, everythingOf(error.cause ?? "")].join("\n")
}
