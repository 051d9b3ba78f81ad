/** One server for all programs of a folder, which runs while one of them uses it and leaves nothing behind but its data. */
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
  runOwner,
} from "./support.ts"

const durable = false
const HOUR_MS = 3_600_000

/** One for all tests, since each leaves it as it was: with a cluster, and nobody there. */
let folder = ""
beforeAll(() => {
  folder = makeFolder()
})
afterEach(() => stopServer(folder))
afterAll(() => removeFolder(folder))

/** Starts a program that uses the server until SIGTERM. */
const use = (options: { readonly idleMs?: number } = {}, of = folder) =>
  runOwner(["use", of, JSON.stringify({ durable, ...options })])

/** Processes of the folder that have the word in their command line. */
const processes = (word: string) => processesNaming(folder).filter((pid) => commandLine(pid).join(" ").includes(word))
const watchdogs = () => processes("saga-ipam-watchdog")
/** The programs that a watchdog becomes, and those that keep the server. */
const keepers = () => processes("keeper").filter((pid) => !watchdogs().includes(pid))

/** Resolves when nothing runs or listens any more. */
const nothingLeft = async (of = folder): Promise<void> => {
  await until("no process is left", () => processesNaming(of).length === 0)
  expect(readdirSync(join(of, "socket"))).toEqual([])
  expect(existsSync(join(of, "data", "postmaster.pid"))).toBe(false)
}

/** Writes something; what comes back checks that it is there when the server runs again. */
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
  it("stops when the only one releases it, before that resolves, and keeps its data", async () => {
    const server = await acquireServer(folder, { durable })
    expect(server.how).toBe("started")
    const expectKept = await write(server)
    await server.release()
    await server.release()
    expect(await serverStatus(folder)).toEqual({ state: "stopped", folder })
    await nothingLeft()
    await expectKept()
  })

  it("stops, too, when its socket is elsewhere, since the folder's path is too long for one", async () => {
    const long = join(newFolder(), "x".repeat(120))
    onTestFinished(() => removeServer(long))
    const { child, said } = use({}, long)
    const { host } = await said
    expect(host.startsWith(long)).toBe(false)
    child.kill("SIGKILL")
    await until("no process is left", () => processesNaming(long).length === 0)
    expect(readdirSync(host)).toEqual([])
  })

  it.each(["SIGTERM", "SIGKILL"] as const)("stops with the only one, which ends by %s", async (signal) => {
    const { child, said } = use()
    const expectKept = await write(await said)
    child.kill(signal)
    await nothingLeft()
    await expectKept()
  })

  it.each([
    ["SIGTERM", "SIGKILL"],
    ["SIGKILL", "SIGTERM"],
  ] as const)(
    "serves the second of two when the first ends by %s, and stops when that ends by %s",
    async (...signals) => {
      const first = use()
      const second = use()
      const [{ pid }, server] = await Promise.all([first.said, second.said])
      expect(server.pid).toBe(pid)
      first.child.kill(signals[0])
      await until("the first has left", () => watchdogs().length === 1)
      await until("nobody stops it", async () => (await present(server.host, ["stop"])).length === 0)
      expect(await serverStatus(folder)).toMatchObject({ state: "running", pid })
      const expectKept = await write(server)
      second.child.kill(signals[1])
      await nothingLeft()
      await expectKept()
    },
  )

  it("stops with a program whose watchdog was killed first", async () => {
    const { child, said } = use()
    await said
    await until("the watchdog of its start is dismissed", () => watchdogs().length === 1)
    const [watchdog = 0] = watchdogs()
    process.kill(watchdog, "SIGKILL")
    await until("another one watches", () => watchdogs().some((pid) => pid !== watchdog))
    child.kill("SIGKILL")
    await nothingLeft()
  })

  it("stops with a program that is killed while it starts the server", async () => {
    const { child, said } = use()
    await until("the server is starting", () => existsSync(join(folder, "data", "postmaster.pid")))
    child.kill("SIGKILL")
    await said.catch(() => undefined)
    await nothingLeft()
  })

  it("serves whoever uses it, however many come and go at once", async () => {
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

  it("is not stopped while somebody uses it, and not used before whoever stops it is done", async () => {
    const first = await acquireServer(folder, { durable })
    expect(await stopUnused(folder)).toBe("in use")
    const stopper = await appear(first.host, "stop")
    const second = acquireServer(folder, { durable })
    await until("the second has come", async () => (await present(first.host, ["user"])).length === 2)
    await stopServer(folder)
    stopper.leave()
    const server = await second
    onTestFinished(server.release)
    expect(server.how).toBe("started")
    await first.release()
    expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
  })

  it("is released once it has started where the call was aborted meanwhile", async () => {
    const aborted = AbortSignal.abort(new Error("enough"))
    await expect(acquireServer(folder, { durable, signal: aborted })).rejects.toThrow("enough")
    await nothingLeft()
  })

  it("leaves nothing where it cannot start", async () => {
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
  it("runs on, is the next one's, and ends when its time is over", async () => {
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

  it("ends with whoever keeps it, killed by SIGKILL", async () => {
    const { child, said } = use({ idleMs: HOUR_MS })
    await said
    child.kill("SIGTERM")
    const isKeptAlone = () => keepers().length === 1 && watchdogs().length === 1 && keepers()[0]
    const keeper = await until("the program has left, and it is kept", isKeptAlone)
    process.kill(keeper, "SIGKILL")
    await nothingLeft()
  })

  it("is a program's as long as that uses it", async () => {
    const program = await acquireServer(folder, { durable })
    const brief = await acquireServer(folder, { durable, idleMs: 1 })
    await brief.release()
    await until("nobody keeps it", () => watchdogs().length === 1)
    expect(await serverStatus(folder)).toMatchObject({ state: "running", pid: program.pid })
    await program.release()
    await nothingLeft()
  })
})
