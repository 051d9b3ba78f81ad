/** One server for all programs of a folder, which runs while one of them uses it and leaves nothing behind but its data. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { appear, present } from "../../src/embedded/presence.ts"
import { serverStatus, stopServer } from "../../src/embedded/server.ts"
import { acquireServer, stopUnused, type AcquiredServer } from "../../src/embedded/sharedServer.ts"
import { until } from "../harness/until.ts"
import { commandLine, newFolder, onLinux, processesNaming, query, runOwner } from "./support.ts"

const durable = false
const HOUR_MS = 3_600_000

const use = (folder: string, options: { readonly idleMs?: number } = {}) =>
  runOwner(["use", folder, JSON.stringify({ durable, ...options })])

/** Processes of the folder that have the word in their command line: `postgres`, `watchdog`, `keeper`. */
const processes = (folder: string, word: string) =>
  processesNaming(folder).filter((pid) => commandLine(pid).join(" ").includes(word))

/** The programs that stop the server for others, or keep it, without the shells that wait to become one. */
const keepers = (folder: string) => processes(folder, "keeper").filter((pid) => !commandLine(pid).includes("-c"))

/** Resolves when nothing of the folder runs or listens any more. */
const nothingLeft = async (folder: string): Promise<void> => {
  await until("no process is left", () => processesNaming(folder).length === 0)
  expect(readdirSync(join(folder, "socket"))).toEqual([])
  expect(existsSync(join(folder, "data", "postmaster.pid"))).toBe(false)
}

const write = (server: AcquiredServer | Parameters<typeof query>[0]) =>
  query(server, "create table kept as select 1 as value")

const expectKept = async (folder: string): Promise<void> => {
  const server = await acquireServer(folder, { durable })
  expect(await query(server, "select value from kept")).toEqual({ value: 1 })
  await server.release()
}

describe.runIf(onLinux)("a server that programs share", () => {
  it("stops when the only one releases it, before that resolves, and keeps its data", async () => {
    const folder = newFolder()
    const server = await acquireServer(folder, { durable })
    expect(server.how).toBe("started")
    await write(server)
    await server.release()
    await server.release()
    expect(await serverStatus(folder)).toEqual({ state: "stopped", folder })
    await nothingLeft(folder)
    await expectKept(folder)
  })

  it.each(["SIGTERM", "SIGKILL"] as const)("stops with the only one, which ends by %s", async (signal) => {
    const folder = newFolder()
    const { child, said } = use(folder)
    await write(await said)
    child.kill(signal)
    await nothingLeft(folder)
    await expectKept(folder)
  })

  it.each([
    ["SIGTERM", "SIGKILL"],
    ["SIGKILL", "SIGTERM"],
  ] as const)(
    "serves the second of two when the first ends by %s, and stops when that ends by %s",
    async (...signals) => {
      const folder = newFolder()
      const first = use(folder)
      const second = use(folder)
      const [{ pid }, server] = await Promise.all([first.said, second.said])
      expect(server.pid).toBe(pid)
      first.child.kill(signals[0])
      await until("the first has left", () => processes(folder, "watchdog").length === 1)
      await until("nobody stops it", async () => (await present(server.host, ["stop"])).length === 0)
      expect(await serverStatus(folder)).toMatchObject({ state: "running", pid })
      await write(server)
      second.child.kill(signals[1])
      await nothingLeft(folder)
      await expectKept(folder)
    },
  )

  it("stops with a program whose watchdog was killed first", async () => {
    const folder = newFolder()
    const { child, said } = use(folder)
    await said
    const [watchdog = 0] = processes(folder, "watchdog")
    process.kill(watchdog, "SIGKILL")
    await until("another one watches", () => processes(folder, "watchdog").some((pid) => pid !== watchdog))
    child.kill("SIGKILL")
    await nothingLeft(folder)
  })

  it("stops with a program that is killed while it starts the server", async () => {
    const folder = newFolder()
    const { child, said } = use(folder)
    await until("the server is starting", () => existsSync(join(folder, "data", "postmaster.pid")))
    child.kill("SIGKILL")
    await said.catch(() => undefined)
    await nothingLeft(folder)
  })

  it("serves whoever uses it, however many come and go at once", async () => {
    const folder = newFolder()
    const comeAndGo = async () => {
      for (let round = 0; round < 8; round++) {
        const server = await acquireServer(folder, { durable })
        expect(await query(server, "select 1 as one")).toEqual({ one: 1 })
        await server.release()
      }
    }
    await Promise.all(Array.from({ length: 4 }, comeAndGo))
    await nothingLeft(folder)
  })

  it("is not stopped while somebody uses it, and not used before whoever stops it is done", async () => {
    const folder = newFolder()
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
    const folder = newFolder()
    const aborted = AbortSignal.abort(new Error("enough"))
    await expect(acquireServer(folder, { durable, signal: aborted })).rejects.toThrow("enough")
    await nothingLeft(folder)
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
    const folder = newFolder()
    const first = await acquireServer(folder, { durable, idleMs: HOUR_MS })
    await write(first)
    await first.release()
    expect(keepers(folder)).toHaveLength(1)
    const next = await acquireServer(folder, { durable, idleMs: HOUR_MS })
    expect(next).toMatchObject({ how: "adopted", pid: first.pid })
    await next.release()
    expect(keepers(folder)).toHaveLength(1)
    await stopServer(folder)
    await nothingLeft(folder)

    const last = await acquireServer(folder, { durable, idleMs: 1 })
    expect(await query(last, "select value from kept")).toEqual({ value: 1 })
    await last.release()
    await nothingLeft(folder)
  })

  it("ends with whoever keeps it, killed by SIGKILL", async () => {
    const folder = newFolder()
    const { child, said } = use(folder, { idleMs: HOUR_MS })
    await said
    child.kill("SIGTERM")
    const keeper = await until("it is kept", () => keepers(folder)[0])
    await until("the program has left", () => processes(folder, "watchdog").length === 1)
    process.kill(keeper, "SIGKILL")
    await nothingLeft(folder)
  })

  it("is a program's as long as that uses it", async () => {
    const folder = newFolder()
    const program = await acquireServer(folder, { durable })
    const brief = await acquireServer(folder, { durable, idleMs: 1 })
    await brief.release()
    await until("nobody keeps it", () => processes(folder, "watchdog").length === 1)
    expect(await serverStatus(folder)).toMatchObject({ state: "running", pid: program.pid })
    await program.release()
    await nothingLeft(folder)
  })
})
