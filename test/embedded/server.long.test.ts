/** The embedded server as a process: started, adopted, stopped, moved, damaged. Each test starts servers, several of them a cluster of their own. */
import { spawn } from "node:child_process"
import { chownSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import postgres from "postgres"
import { describe, expect, it, onTestFinished } from "vitest"
import { EmbeddedServerFailed } from "../../src/embedded/failure.ts"
import { defaultDataFolder, removeServer, serverStatus, startServer, stopServer } from "../../src/embedded/server.ts"
import { asRoot, newFolder, onLinux, query, runProgram } from "./harness.ts"
import { until } from "../harness/until.ts"

const gone = (pid: number) => until(`process ${pid} has ended`, () => !existsSync(`/proc/${pid}/cwd`))

describe("a server and its folder", () => {
  it("is made on the first start, adopted while it runs, and keeps its data over restarts", async () => {
    const folder = newFolder()
    expect(await serverStatus(folder)).toEqual({ state: "stopped", folder })
    const first = await startServer(folder)
    expect(first).toMatchObject({ how: "started", folder, port: 5432, user: "ipam" })
    await query(first, "create table kept as select 'yes' as value")

    expect(await startServer(folder)).toEqual({ ...first, how: "adopted" })
    expect(await serverStatus(folder)).toMatchObject({ state: "running", pid: first.pid, host: first.host })
    expect(await stopServer(folder)).toBe("stopped")
    expect(await stopServer(folder)).toBe("not running")
    expect(await serverStatus(folder)).toEqual({ state: "stopped", folder })

    const second = await startServer(folder)
    expect(second.how).toBe("started")
    expect(await query(second, "select value from kept")).toEqual({ value: "yes" })
  })

  it("listens on a private socket and nowhere else, flushes to disk, sorts by code point", async () => {
    const server = await startServer(newFolder(), { settings: { listen_addresses: "*", work_mem: "5MB" } })
    expect(statSync(server.host).mode & 0o777).toBe(0o700)
    expect(
      await query(
        server,
        "select count(*)::int as open from pg_hba_file_rules where type <> 'local' and auth_method <> 'reject'",
      ),
    ).toEqual({
      open: 0,
    })
    expect(
      await query(
        server,
        `select current_setting('listen_addresses') as listen, current_setting('work_mem') as given, current_setting('timezone') as zone,
           current_setting('max_connections') as connections, current_setting('fsync') as fsync, getdatabaseencoding() as encoding,
           (select datcollate from pg_database where datname = 'postgres') as locale, ('a' < 'B') as by_language, upper('é') as upper`,
      ),
    ).toEqual({
      listen: "",
      given: "5MB",
      zone: "UTC",
      connections: "200",
      fsync: "on",
      encoding: "UTF8",
      locale: "C",
      by_language: false,
      upper: "É",
    })
    expect(readFileSync(server.log, "utf8")).toContain("ready to accept connections")
  })

  it("is one server when four processes start it at once on an empty folder", async () => {
    const folder = newFolder()
    const printed = await Promise.all(Array.from({ length: 4 }, () => runProgram(["start", folder]).printed))
    expect(new Set(printed.map(({ pid }) => pid)).size).toBe(1)
    expect(printed.map(({ how }) => how).toSorted()).toEqual(["adopted", "adopted", "adopted", "started"])
    expect(readdirSync(folder).toSorted()).toEqual(["data", "log", "socket"])
  })

  it("has its socket elsewhere when the folder's path is too long for one", async () => {
    const folder = join(newFolder(), "x".repeat(120))
    onTestFinished(() => removeServer(folder))
    const first = await startServer(folder)
    expect(Buffer.byteLength(join(first.host, ".s.PGSQL.5432"))).toBeLessThanOrEqual(107)
    expect(statSync(first.host).mode & 0o777).toBe(0o700)
    expect(await startServer(folder)).toEqual({ ...first, how: "adopted" })
    await stopServer(folder)
    rmSync(first.host, { recursive: true })
    const again = await startServer(folder)
    expect(await query(again, "select 1 as one")).toEqual({ one: 1 })
    await removeServer(folder)
    expect([existsSync(again.host), existsSync(folder)]).toEqual([false, false])
  })

  it("may have any name that a folder may have", async () => {
    const folder = join(newFolder(), `a "b", c:d é'%`)
    onTestFinished(() => removeServer(folder))
    const server = await startServer(folder, { durable: false })
    expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
    expect(await startServer(folder)).toMatchObject({ how: "adopted", pid: server.pid })
  })

  it("is adopted while every connection is taken", async () => {
    const folder = newFolder()
    const settings = { max_connections: "2", superuser_reserved_connections: "0", max_wal_senders: "0" }
    const server = await startServer(folder, { durable: false, settings })
    const { host, port, user } = server
    const sql = postgres({ host, port, user, database: "postgres", max: 2, fetch_types: false })
    onTestFinished(() => sql.end({ timeout: 0 }))
    // A probe may have had the place that one of these asked for: then another one asks.
    const asked: Array<Promise<unknown>> = []
    const take = () => asked.push(sql`select pg_sleep(20)`.catch(() => undefined))
    take()
    take()
    await until("both are taken", () =>
      query(server, "select 1").then(
        () => {
          take()
          return false
        },
        (error: unknown) => String(error).includes("too many clients"),
      ),
    )
    expect(await startServer(folder, { timeoutMs: 2000 })).toMatchObject({ how: "adopted", pid: server.pid })
    await stopServer(folder)
    await Promise.all(asked)
  })

  it("leaves what is not its own when it is removed", async () => {
    const folder = newFolder()
    const { pid } = await startServer(folder, { durable: false })
    writeFileSync(join(folder, "mine"), "")
    await removeServer(folder)
    expect(readdirSync(folder)).toEqual(["mine"])
    expect(existsSync(`/proc/${pid}/cwd`)).toBe(false)
    await removeServer(folder)
    rmSync(join(folder, "mine"))
  })

  it.runIf(onLinux)("of a copied folder is another one than the original's", async () => {
    const folder = newFolder()
    const copy = newFolder()
    const original = await startServer(folder, { durable: false })
    cpSync(folder, copy, { recursive: true, filter: (path) => !path.includes(".s.PGSQL") })
    if (asRoot) chownTree(copy, 65_534)
    expect(await serverStatus(copy)).toEqual({ state: "stopped", folder: copy })
    const second = await startServer(copy, { durable: false })
    expect([second.how, second.pid === original.pid]).toEqual(["started", false])
    expect(await query(second, "select current_setting('data_directory') as data")).toEqual({
      data: join(copy, "data"),
    })
    expect(await serverStatus(folder)).toMatchObject({ state: "running", pid: original.pid })
  })

  it("has a default that fits the user", () => {
    const { XDG_DATA_HOME } = process.env
    onTestFinished(() => {
      if (XDG_DATA_HOME === undefined) delete process.env["XDG_DATA_HOME"]
      else process.env["XDG_DATA_HOME"] = XDG_DATA_HOME
    })
    process.env["XDG_DATA_HOME"] = "/srv/data"
    expect(defaultDataFolder()).toBe(asRoot ? "/var/lib/saga-ipam" : "/srv/data/saga-ipam")
    process.env["XDG_DATA_HOME"] = "relative"
    expect(defaultDataFolder()).toMatch(asRoot ? /^\/var\/lib\/saga-ipam$/ : /^\/.*\/\.local\/share\/saga-ipam$/)
  })
})

describe("after a crash", () => {
  it("of the postmaster, with a transaction open, the next start recovers what was committed", async () => {
    const folder = newFolder()
    const first = await startServer(folder)
    await query(first, "create table kept as select 1 as value")
    const busy = query(first, "begin; insert into kept values (2); select pg_sleep(60)").catch((error: unknown) =>
      String(error),
    )
    await until("the transaction is open", async () => {
      const row = await query(
        first,
        "select count(*)::int as n from pg_stat_activity where query like 'begin;%' and wait_event = 'PgSleep'",
      )
      return row?.["n"] === 1
    })
    process.kill(first.pid, "SIGKILL")
    await gone(first.pid)
    const second = await startServer(folder)
    expect([second.how, second.pid === first.pid]).toEqual(["started", false])
    expect(await query(second, "select count(*)::int as n from kept")).toEqual({ n: 1 })
    expect(await busy).toMatch(/CONNECTION_CLOSED|terminat/)
  })

  it.each(["SIGINT", "SIGKILL"] as const)(
    "by %s of the process that started it, the server runs on and is adopted",
    async (signal) => {
      const folder = newFolder()
      const { child } = runProgram(["start", folder, '{"durable":false}'])
      const pidFile = join(folder, "data", "postmaster.pid")
      await until("the server has a pid", () => existsSync(pidFile) && readFileSync(pidFile, "utf8").includes("\n"))
      // As a terminal does it: to the whole process group.
      process.kill(-(child.pid ?? 0), signal)
      const pid = Number(readFileSync(pidFile, "utf8").split("\n")[0])
      expect(await startServer(folder)).toMatchObject({ how: "adopted", pid })
    },
  )

  it("in the middle of making the cluster nothing is left of the half", async () => {
    const folder = newFolder()
    const { child, printed } = runProgram(["start", folder])
    await until(
      "initdb is at work",
      () => existsSync(folder) && readdirSync(folder).some((name) => name.startsWith(".init-")),
    )
    child.kill("SIGKILL")
    await expect(printed).rejects.toThrow("printed nothing")
    expect((await startServer(folder)).how).toBe("started")
    expect(readdirSync(folder).toSorted()).toEqual(["data", "log", "socket"])
  })

  it("the pid in the lock file may belong to somebody else by now", async () => {
    const folder = newFolder()
    const { pid, host } = await startServer(folder, { durable: false })
    process.kill(pid, "SIGKILL")
    await gone(pid)
    // PostgreSQL by itself refuses to start while a process of its own user has the pid.
    const other = spawn("sleep", ["60"], { stdio: "ignore", ...(asRoot ? { uid: 65_534, gid: 65_534 } : {}) })
    onTestFinished(() => void other.kill())
    for (const file of [join(folder, "data", "postmaster.pid"), join(host, ".s.PGSQL.5432.lock")]) {
      writeFileSync(file, readFileSync(file, "utf8").replace(/^\d+/, String(other.pid)))
    }
    expect(await serverStatus(folder)).toEqual({ state: "stopped", folder })
    expect(await stopServer(folder)).toBe("not running")
    expect((await startServer(folder, { durable: false, timeoutMs: 10_000 })).how).toBe("started")
    expect([other.exitCode, other.signalCode]).toEqual([null, null])
  })
})

describe("a server that does not come or go", () => {
  it("is waited for no longer than the bound", async () => {
    const folder = newFolder()
    const { pid, log } = await startServer(folder, { durable: false })
    process.kill(pid, "SIGSTOP")
    onTestFinished(() => void process.kill(pid, "SIGCONT"))
    await expect(startServer(folder, { timeoutMs: 300 })).rejects.toMatchObject({ reason: "not-ready" })
    await expect(stopServer(folder, 300)).rejects.toMatchObject({ reason: "not-stopped" })
    expect(await serverStatus(folder)).toEqual({ state: "unresponsive", pid, folder, log })
  })

  it("says in PostgreSQL's words why it did not start, without a stack", async () => {
    const folder = newFolder()
    const failure = await startServer(folder, { durable: false, settings: { max_connections: "-7" } }).catch(
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(EmbeddedServerFailed)
    expect(failure).toMatchObject({ _tag: "EmbeddedServerFailed", reason: "not-started" })
    expect(String(failure)).toMatch(/-7 is outside the valid range for parameter "max_connections".*log: /s)
    expect(failure instanceof Error && failure.stack).not.toMatch(/^\s+at /m)
  })

  it("says so when the folder cannot be made", async () => {
    const folder = newFolder()
    writeFileSync(folder, "a file")
    onTestFinished(() => rmSync(folder))
    await expect(startServer(folder)).rejects.toMatchObject({ _tag: "EmbeddedServerFailed", reason: "folder-unusable" })
    await expect(startServer(join(dirname(folder), "a\nb"))).rejects.toMatchObject({ reason: "folder-unusable" })
  })
})

const chownTree = (path: string, uid: number): void => {
  chownSync(path, uid, uid)
  if (!statSync(path).isDirectory()) return
  for (const name of readdirSync(path)) chownTree(join(path, name), uid)
}
