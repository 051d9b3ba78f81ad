/**
 * The embedded server of commands, which take their time to start: it stays running for the next command, is shared with programs, and
 * ends when it was idle for a while.
 */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { newFolder, onLinux, processesNaming, query, runProgram } from "../embedded/harness.ts"
import { until } from "../harness/until.ts"
import { start } from "./command.ts"

const HOUR = "3600"

/** Runs a command with `--json` on the server of the folder, and returns its answer. */
const run = async (folder: string, idleSeconds: string, ...words: ReadonlyArray<string>): Promise<unknown> => {
  const env = { SAGA_IPAM_IDLE_SECONDS: idleSeconds }
  const { code, out, err } = await start([...words, "--json", "--data", folder], env).ended
  expect({ words, code, err }).toEqual({ words, code: 0, err: "" })
  return JSON.parse(out)
}
const createPool = (folder: string, idleSeconds: string) =>
  run(folder, idleSeconds, "pool", "create", "web", "--range", "10.0.0.0/24")
const status = (folder: string) => run(folder, HOUR, "db", "status")

const untilEnded = async (folder: string): Promise<void> => {
  await until("no process is left", () => processesNaming(folder).length === 0)
  expect(readdirSync(join(folder, "socket"))).toEqual([])
  expect(existsSync(join(folder, "data", "postmaster.pid"))).toBe(false)
}

describe.runIf(onLinux)("the embedded server", () => {
  test("stays running for the next command, until `db stop`", async () => {
    const folder = newFolder()
    expect(await createPool(folder, HOUR)).toMatchObject({ outcome: "created" })
    const { pid } = (await status(folder)) as { readonly pid: number }
    expect(await createPool(folder, HOUR)).toMatchObject({ outcome: "exists" })
    expect(await status(folder)).toMatchObject({ state: "running", pid })
    expect(await run(folder, HOUR, "db", "stop")).toEqual({ state: "stopped", folder })
    await untilEnded(folder)
  })

  test("ends after the idle time without a command, and keeps its data", async () => {
    const folder = newFolder()
    expect(await createPool(folder, "0.01")).toMatchObject({ outcome: "created" })
    await untilEnded(folder)
    expect(await createPool(folder, "0")).toMatchObject({ outcome: "exists" })
    expect(await status(folder)).toEqual({ state: "stopped", folder })
    await untilEnded(folder)
  })

  test("keeps serving a program when a command ends, and ends with the program", async () => {
    const folder = newFolder()
    const { child, printed } = runProgram(["use", folder])
    const program = await printed
    expect(await createPool(folder, "0")).toMatchObject({ outcome: "created" })
    expect(await status(folder)).toMatchObject({ state: "running", pid: program.pid })
    expect(await query(program, "select name from ipam.pool")).toEqual({ name: "web" })
    child.kill("SIGKILL")
    await untilEnded(folder)
  })

  test("stays running after a program that used it, if a command has asked for that", async () => {
    const folder = newFolder()
    const { child, printed } = runProgram(["use", folder])
    const program = await printed
    await createPool(folder, HOUR)
    child.kill("SIGTERM")
    await new Promise((ended) => child.once("exit", ended))
    expect(await status(folder)).toMatchObject({ state: "running", pid: program.pid })
    await run(folder, HOUR, "db", "stop")
    await untilEnded(folder)
  })

  test("refuses an invalid idle time", async () => {
    const { code, err } = await start(["pool", "list"], { SAGA_IPAM_IDLE_SECONDS: "soon" }).ended
    expect(code).toBe(2)
    expect(err).toContain("SAGA_IPAM_IDLE_SECONDS: must be a number of seconds")
  })
})
