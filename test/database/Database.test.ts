/** Calls on connections that are lost, slow, refused or closed, and the values that calls return. */
import { createServer, type Server } from "node:net"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import type { DatabaseOptions, Statement } from "../../src/database/Database.ts"
import { put, useCalls, waiting } from "./calls.ts"
import { refusePassword } from "./refusingServer.ts"

const { database, owner, effects, withDatabase } = useCalls()
const one: Statement = { text: "select 1 as one", repeatable: true }

describe("a call whose connection is lost", () => {
  test("is repeated on another connection, and its result is definite", async () => {
    await withDatabase({}, async ({ call }) => {
      await owner().run("select pg_advisory_lock(7)")
      const answer = call(put, ["k"])
      const { pid } = await owner().until(waiting)
      await owner().run(`select pg_terminate_backend(${String(pid)})`)
      await owner().until(`${waiting} and pid <> ${String(pid)}`)
      await owner().run("select pg_advisory_unlock_all()")
      expect(await answer).toEqual([{ key: "k" }])
      expect(await effects()).toEqual(["k"])
    })
  })

  test("fails with an unknown outcome if it is not idempotent", async () => {
    await withDatabase({}, async ({ call }) => {
      await owner().run("select pg_advisory_lock(7)")
      const answer = call({ ...put, repeatable: false }, ["k"])
      const refused = expect(answer).rejects.toMatchObject({ _tag: "DatabaseUnavailable", call: "put" })
      const { pid } = await owner().until(waiting)
      await owner().run(`select pg_terminate_backend(${String(pid)})`)
      await refused
    })
  })

  test("while the connection was idle succeeds all the same", async () => {
    await withDatabase({ max: 1 }, async ({ call }) => {
      await call(one, [])
      await owner().run(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'probe' and datname = current_database()",
      )
      expect(await call(one, [])).toEqual([{ one: 1 }])
    })
  })
})

describe("the deadline", () => {
  // Seconds, so that a slow machine has sent the statement by then.
  test("cancels the statement on the server, and the outcome is unknown", async () => {
    await withDatabase({ timeoutSeconds: 3 }, async ({ call }) => {
      await owner().run("select pg_advisory_lock(7)")
      await expect(call(put, ["k"])).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
      expect(await owner().rows(waiting)).toEqual([])
      expect(await effects()).toEqual([])
    })
  })

  test("is kept without a statement timeout of the server, as behind a pooler", async () => {
    await withDatabase({ timeoutSeconds: 3, prepare: false }, async ({ call }) => {
      const [row] = await call({ text: "select current_setting('statement_timeout') as limit", repeatable: true }, [])
      expect(row).toEqual({ limit: "0" })
      await owner().run("select pg_advisory_lock(7)")
      await expect(call(put, ["k"])).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
      expect(await owner().rows(waiting)).toEqual([])
    })
  })

  test("includes the wait for a free connection", async () => {
    await withDatabase({ max: 1, timeoutSeconds: 0.3 }, async ({ call }) => {
      await owner().run("select pg_advisory_lock(7)")
      const both = await Promise.allSettled([call(put, ["a"]), call(put, ["b"])])
      expect(both.map((one) => one.status)).toEqual(["rejected", "rejected"])
      expect(await effects()).toEqual([])
    })
  })

  describe("of a server that accepts connections and never answers", () => {
    let silent: Server
    let ended: Promise<void>
    beforeEach(async () => {
      ended = new Promise((resolve) => {
        silent = createServer((socket) => socket.resume().once("close", () => resolve()))
      })
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
    })
    afterEach(() => silent.close())

    test("is kept, and no socket stays open", async () => {
      const address = silent.address()
      if (address === null || typeof address === "string") throw new Error("no port")
      const options = { host: "127.0.0.1", port: address.port, ssl: false, timeoutSeconds: 3 }
      await withDatabase(options, async ({ call }) => {
        await expect(call(one, [])).rejects.toMatchObject({ _tag: "DatabaseUnavailable" })
      })
      await ended
    })
  })
})

test("more callers than connections are all served, with one statement at a time on each connection", async () => {
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

test("the rows of a statement that failed do not appear among those of the next one on its connection", async () => {
  await withDatabase({ max: 1 }, async ({ call }) => {
    const failsAtThird = { text: "select 1 / (3 - n) from generate_series(1, 3) as n", repeatable: false }
    for (const time of ["the first time", "once it is prepared"]) {
      await expect(call(failsAtThird, []), time).rejects.toMatchObject({ _tag: "InvalidInput" })
      expect(await call(one, []), time).toEqual([{ one: 1 }])
    }
  })
})

test("values are exact: no loss in big numbers, times in UTC whatever the settings of the database", async () => {
  await owner().run(`alter database ${database().name} set timezone = 'Asia/Tokyo'`)
  await owner().run(`alter database ${database().name} set datestyle = 'German'`)
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
  // At the same time, since some are tried again until there is no more time: enough that the last attempt is never cut short.
  test.concurrent.each<[string, string, DatabaseOptions]>([
    ["an unknown host name", "DatabaseUnreachable", { host: "no-such-host.invalid", password }],
    ["a port on which nothing listens", "DatabaseUnreachable", { host: "127.0.0.1", port: 1, password }],
    ["a folder without a socket", "DatabaseUnreachable", { host: "/nowhere", password }],
    ["an unknown database", "DatabaseMisconfigured", { database: "no_such_database", password }],
    ["an unknown user", "DatabaseMisconfigured", { user: "no_such_user", password }],
    ["a URL to no server", "DatabaseUnreachable", { url: `postgres://u:${password}@127.0.0.1:1/d` }],
  ])("with %s is %s, and its error does not contain the password", async (_, tag, options) => {
    await withDatabase({ ...options, timeoutSeconds: 60 }, async ({ call }) => {
      const error: unknown = await call(one, []).catch((cause: unknown) => cause)
      expect(error).toMatchObject({ _tag: tag, call: "put" })
      expect(everythingOf(error)).not.toContain(password)
    })
  })
})

test("the error of a refused password does not contain it", async () => {
  const password = "s3cr3t-word"
  const refusing = createServer((socket) => socket.once("data", () => refusePassword(socket)))
  await new Promise<void>((resolve) => refusing.listen(0, "127.0.0.1", resolve))
  const address = refusing.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  await withDatabase({ host: "127.0.0.1", port: address.port, user: "u", password, ssl: false }, async ({ call }) => {
    const error: unknown = await call(one, []).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ _tag: "DatabaseMisconfigured", code: "28P01" })
    expect(everythingOf(error)).not.toContain(password)
  })
  refusing.close()
})

describe("a pool that is closed", () => {
  const noConnections =
    "select 1 where not exists (select from pg_stat_activity where application_name = 'probe' and datname = current_database())"

  test("serves the calls made before, also those that wait for a connection, and refuses those made after", async () => {
    await withDatabase({ max: 2 }, async ({ call, close }) => {
      const keys = Array.from({ length: 50 }, (_, index) => `k${String(index).padStart(2, "0")}`)
      await call(one, [])
      await owner().run("select pg_advisory_lock(7)")
      const answers = Promise.all(keys.map((key) => call(put, [key])))
      await owner().until(waiting)
      const closed = close()
      await expect(call(put, ["late"])).rejects.toMatchObject({ _tag: "DatabaseUnreachable" })
      await owner().run("select pg_advisory_unlock_all()")
      expect(await answers).toEqual(keys.map((key) => [{ key }]))
      await closed
      expect(await effects()).toEqual(keys)
      await owner().until(noConnections)
    })
  })

  test("cancels the calls that it cannot serve in time, and they have no effect", async () => {
    await withDatabase({ max: 2, timeoutSeconds: 60 }, async ({ call, close }) => {
      await owner().run("select pg_advisory_lock(7)")
      const answers = ["a", "b", "c", "d"].map((key) => call(put, [key]))
      const failed = Promise.all(
        answers.map((answer) => expect(answer).rejects.toMatchObject({ _tag: "DatabaseUnreachable" })),
      )
      await owner().until(waiting)
      await close()
      await failed
      await owner().until(noConnections)
      await owner().run("select pg_advisory_unlock_all()")
      expect(await effects()).toEqual([])
    })
  })
})

/** Everything that a log could show of an error: its text, its stack, its fields, its causes. */
const everythingOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const fields = Object.getOwnPropertyNames(error).map((name) => String(Reflect.get(error, name)))
  return [String(error), JSON.stringify(error), ...fields, everythingOf(error.cause ?? "")].join("\n")
}
