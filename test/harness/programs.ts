/** Programs of this project as people run them: processes of their own, of which none outlives the file that started it. */
import { spawn, type ChildProcessByStdio } from "node:child_process"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { Readable } from "node:stream"
import { afterAll } from "vitest"

/** Shared by all programs of all runs: most of their start is compiling. */
const compiled = join(tmpdir(), "saga-ipam-test-compiled")
const root = resolve(import.meta.dirname, "../..")

export type Program = ChildProcessByStdio<null, Readable, Readable>

const running = new Set<Program>()

// What a test that failed left behind. Nobody would end it, and a runner whose output it still held open would wait for it.
afterAll(() => Promise.all([...running].map(end)))

/** Ends a program at once, and resolves when it is gone. */
export const end = async (program: Program): Promise<void> => {
  if (program.exitCode !== null || program.signalCode !== null) return
  const gone = once(program, "exit")
  program.kill("SIGKILL")
  await gone
}

/** Starts a source of this project, such as `src/cli/main.ts`. Its output is for the caller to read; its input may be messages. */
export const startProgram = (
  source: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  messages = false,
): Program => {
  const child = spawn(process.execPath, ["--conditions=@saga-ipam/source", join(root, source), ...args], {
    env: { ...process.env, NODE_COMPILE_CACHE: compiled, ...env },
    stdio: ["ignore", "pipe", "pipe", ...(messages ? (["ipc"] as const) : [])],
  }) as Program
  running.add(child)
  child.once("exit", () => running.delete(child))
  return child
}
