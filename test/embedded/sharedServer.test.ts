/** The server that all programs of a folder share: it runs while one of them uses it, and leaves nothing behind but its data. */
import { randomUUID } from "node:crypto"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { appear, present } from "../../src/embedded/presence.ts"
import { removeServer, serverStatus, stopServer } from "../../src/embedded/server.ts"
import { acquireServer, stopUnused } from "../../src/embedded/sharedServer.ts"
import { until } from "../harness/until.ts"
import {
  commandLine,
  makeFolder,
  newFolder,
  onLinux,
  processesNaming,
  query,
  removeFolder,
  runProgram,
} from "./harness.ts"

const durable = false
const HOUR_MS = 3_600_000

/** One folder for all tests, since each leaves it as it found it: with a cluster, and no process that uses it. */
let folder = ""
beforeAll(() => {
  folder = makeFolder()
})
afterEach(() => stopServer(folder))
afterAll(() => removeFolder(folder))

/** Starts a program that uses the server until SIGTERM. */
const use = (options: { readonly idleMs?: number } = {}, of = folder) =>
  runProgram(["use", of, JSON.stringify({ durable, ...options })])

/** The processes of the folder by what their command line says, which is read once: a second look may find that they have ended. */
const processes = (matches: (command: string) => boolean) =>
  processesNaming(folder).filter((pid) => matches(commandLine(pid).join(" ")))
const isWatchdog = (command: string) => command.includes("saga-ipam-watchdog")
const watchdogs = () => processes(isWatchdog)
/** The processes that keep the server idle, and what a watchdog becomes when it stops the server. */
const keepers = () => processes((command) => command.includes("keeper") && !isWatchdog(command))

/** Waits until no process of the folder is left, and expects no socket and no pid file. */
const nothingLeft = async (of = folder): Promise<void> => {
  await until("no process is left", () => processesNaming(of).length === 0)
  expect(readdirSync(join(of, "socket"))).toEqual([])
  expect(existsSync(join(of, "data", "postmaster.pid"))).toBe(false)
}

/** Writes a row, and returns a check that the row is there when the server runs again. */
const write = async (server: Parameters<typeof query>[0]) => {
  const value = randomUUID()
  await query(server, "create table if not exists kept (value text)")
  await query(server, `insert into kept values ('${value}')`)
  return async (): Promise<void> => {
    const again = await acquireServer(folder, { durable })
    expect(await query(again, `select count(*)::int as n from kept where value = '${value}'`)).toEqual({ n: 1 })
    await again.release()
  }
}

describe.runIf(onLinux)("a server that programs share", () => {
  it("has stopped by the time its only user has released it, and keeps its data", async () => {
    const server = await acquireServer(folder, { durable })
    expect(server.how).toBe("started")
    const expectKept = await write(server)
    await server.release()
    await server.release()
    expect(await serverStatus(folder)).toEqual({ state: "stopped", folder })
    await nothingLeft()
    await expectKept()
  })

  it("also stops if its socket is in another folder because the path of its own is too long", async () => {
    const long = join(newFolder(), "x".repeat(120))
    onTestFinished(() => removeServer(long))
    const { child, printed } = use({}, long)
    const { host } = await printed
    expect(host.startsWith(long)).toBe(false)
    child.kill("SIGKILL")
    await until("no process is left", () => processesNaming(long).length === 0)
    expect(readdirSync(host)).toEqual([])
  })

  it.each(["SIGTERM", "SIGKILL"] as const)("stops when its only user ends by %s", async (signal) => {
    const { child, printed } = use()
    const expectKept = await write(await printed)
    child.kill(signal)
    await nothingLeft()
    await expectKept()
  })

  it.each([
    ["SIGTERM", "SIGKILL"],
    ["SIGKILL", "SIGTERM"],
  ] as const)(
    "keeps serving the second of two users when the first ends by %s, and stops when the second ends by %s",
    async (...signals) => {
      const first = use()
      const second = use()
      const [{ pid }, server] = await Promise.all([first.printed, second.printed])
      expect(server.pid).toBe(pid)
      first.child.kill(signals[0])
      await until("the first has left", () => watchdogs().length === 1)
      await until("no process is stopping it", async () => (await present(server.host, ["stop"])).length === 0)
      expect(await serverStatus(folder)).toMatchObject({ state: "running", pid })
      const expectKept = await write(server)
      second.child.kill(signals[1])
      await nothingLeft()
      await expectKept()
    },
  )

  it("stops when a program is killed whose watchdog was killed before", async () => {
    const { child, printed } = use()
    await printed
    await until("the watchdog for the start is dismissed", () => watchdogs().length === 1)
    const [watchdog = 0] = watchdogs()
    process.kill(watchdog, "SIGKILL")
    await until("another watchdog runs", () => watchdogs().some((pid) => pid !== watchdog))
    child.kill("SIGKILL")
    await nothingLeft()
  })

  it("stops when a program is killed while it is starting the server", async () => {
    const { child, printed } = use()
    await until("the server is starting", () => existsSync(join(folder, "data", "postmaster.pid")))
    child.kill("SIGKILL")
    await printed.catch(() => undefined)
    await nothingLeft()
  })

  it("answers every user while several acquire and release it at once", async () => {
    const comeAndGo = async () => {
      for (let round = 0; round < 8; round++) {
        const server = await acquireServer(folder, { durable })
        expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
        await server.release()
      }
    }
    await Promise.all(Array.from({ length: 4 }, comeAndGo))
    await nothingLeft()
  })

  it("is not stopped while it is in use, and a new user waits until whoever is stopping it has finished", async () => {
    const first = await acquireServer(folder, { durable })
    expect(await stopUnused(folder)).toBe("in use")
    const stopper = await appear(first.host, "stop")
    const second = acquireServer(folder, { durable })
    await until("the second user is present", async () => (await present(first.host, ["user"])).length === 2)
    await stopServer(folder)
    stopper.leave()
    const server = await second
    onTestFinished(server.release)
    expect(server.how).toBe("started")
    await first.release()
    expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
  })

  it("is released once it has started if the call was aborted in the meantime", async () => {
    const aborted = AbortSignal.abort(new Error("enough"))
    await expect(acquireServer(folder, { durable, signal: aborted })).rejects.toThrow("enough")
    await nothingLeft()
  })

  it("leaves nothing behind if it cannot start", async () => {
    const folder = newFolder()
    await expect(acquireServer(folder, { durable, binaries: "/nowhere" })).rejects.toMatchObject({
      reason: "no-binaries",
    })
    expect(existsSync(folder)).toBe(false)
    await expect(acquireServer(folder, { durable, settings: { max_connections: "-7" } })).rejects.toMatchObject({
      reason: "not-started",
    })
    await nothingLeft(folder)
  })
})

describe.runIf(onLinux)("a server that is kept for the next user", () => {
  it("keeps running, is adopted by the next user, and stops when its idle time is over", async () => {
    const first = await acquireServer(folder, { durable, idleMs: HOUR_MS })
    const expectKept = await write(first)
    await first.release()
    const kept = await until("one process keeps it", () => keepers().length === 1 && keepers())
    const next = await acquireServer(folder, { durable, idleMs: HOUR_MS })
    expect(next).toMatchObject({ how: "adopted", pid: first.pid })
    await next.release()
    expect(keepers()).toEqual(kept)
    await stopServer(folder)
    await nothingLeft()

    const last = await acquireServer(folder, { durable, idleMs: 1 })
    await last.release()
    await nothingLeft()
    await expectKept()
  })

  it("stops when the process that keeps it is killed by SIGKILL", async () => {
    const { child, printed } = use({ idleMs: HOUR_MS })
    await printed
    child.kill("SIGTERM")
    const isKeptAlone = () => keepers().length === 1 && watchdogs().length === 1 && keepers()[0]
    const keeper = await until("the program has ended, and the server is kept", isKeptAlone)
    process.kill(keeper, "SIGKILL")
    await nothingLeft()
  })

  it("does not stop at the end of its idle time while a program still uses it", async () => {
    const program = await acquireServer(folder, { durable })
    const brief = await acquireServer(folder, { durable, idleMs: 1 })
    await brief.release()
    await until("nobody keeps it", () => watchdogs().length === 1)
    expect(await serverStatus(folder)).toMatchObject({ state: "running", pid: program.pid })
    await program.release()
    await nothingLeft()
  })
})
