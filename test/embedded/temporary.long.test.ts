/** Servers that live no longer than their program, each with a cluster of its own, however that program ends. */
import { existsSync } from "node:fs"
import { basename } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { startTemporaryServer } from "../../src/embedded/temporary.ts"
import { commandLine, onLinux, processesNaming, query, runProgram } from "./harness.ts"
import { until } from "../harness/until.ts"

describe("a throw-away server", () => {
  it("leaves nothing once it is stopped, also when it is stopped twice", async () => {
    const server = await startTemporaryServer("ipam-embedded-", { durable: false, settings: { max_connections: "37" } })
    onTestFinished(server.stop)
    expect(basename(server.folder)).toMatch(/^ipam-embedded-/)
    expect(
      await query(
        server,
        "select current_setting('fsync') as fsync, current_setting('max_connections') as connections",
      ),
    ).toEqual({ fsync: "off", connections: "37" })
    await server.stop()
    await server.stop()
    expect(existsSync(server.folder)).toBe(false)
    if (onLinux) await until("no process is left", () => processesNaming(server.folder).length === 0)
  })

  it("flushes to disk when a benchmark asks for it", async () => {
    const server = await startTemporaryServer("ipam-embedded-", { durable: true })
    onTestFinished(server.stop)
    expect(
      await query(server, "select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages"),
    ).toEqual({
      fsync: "on",
      pages: "on",
    })
  })

  it("leaves nothing when it does not start", async () => {
    const failing = startTemporaryServer("ipam-embedded-failing-", {
      durable: false,
      settings: { max_connections: "-7" },
    })
    const failure: unknown = await failing.catch((error: unknown) => error)
    const folder = /did not start in (\S+):/.exec(String(failure))?.[1] ?? ""
    expect(basename(folder)).toMatch(/^ipam-embedded-failing-/)
    expect(existsSync(folder)).toBe(false)
  })

  it.runIf(onLinux).each(["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const)(
    "ends with its owner, ended by %s",
    async (signal) => {
      const { child, printed } = runProgram(["temporary"])
      const { pid, folder } = await printed
      // As a terminal does it: to the whole process group.
      process.kill(-(child.pid ?? 0), signal)
      await until("the server has ended", () => !existsSync(`/proc/${pid}/cwd`))
      await until("the folder is gone", () => !existsSync(folder))
      await until("no process is left", () => processesNaming(folder).length === 0)
    },
  )

  it.runIf(onLinux)("ends with an owner that is killed while it makes the cluster", async () => {
    const { child, printed } = runProgram(["temporary"])
    const initdb = () =>
      processesNaming(`.init-${child.pid}-`).length > 0 && processesNaming("saga-ipam-watchdog").length > 0
    await until("initdb is at work", initdb)
    // Initdb starts the server by a shell, so the folder may stand within a word; and what was found may have ended by now.
    const lines = processesNaming(`.init-${child.pid}-`).map((pid) => commandLine(pid).join(" "))
    const [folder = ""] = lines.flatMap((line) => /[^\s"'=]+(?=\/\.init-)/.exec(line) ?? [])
    child.kill("SIGKILL")
    await expect(printed).rejects.toThrow("printed nothing")
    expect(folder).not.toBe("")
    await until("the folder is gone", () => !existsSync(folder))
    await until("no process is left", () => processesNaming(folder).length === 0)
    expect(existsSync(folder)).toBe(false)
  })
})
