/** Runs programs of this project in processes of their own. None outlives the test file that started it. */
import { spawn, type ChildProcessByStdio } from "node:child_process"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { Readable } from "node:stream"
import { afterAll } from "vitest"

/** The compile cache that all programs share: compiling takes most of their start-up time. */
const compileCache = join(tmpdir(), "saga-ipam-test-compiled")
const root = resolve(import.meta.dirname, "../..")

export type Program = ChildProcessByStdio<null, Readable, Readable>

const running = new Set<Program>()

// A failed test may leave programs running, and the test runner would wait for the output that they hold open.
afterAll(() => Promise.all([...running].map(end)))

/** Kills a program, and resolves when it has ended. */
export const end = async (program: Program): Promise<void> => {
  if (program.exitCode !== null || program.signalCode !== null) return
  const exited = once(program, "exit")
  program.kill("SIGKILL")
  await exited
}

/** Starts a program from its source, e.g. `src/cli/main.ts`. The caller reads its output; with `messages` it has an IPC channel. */
export const startProgram = (
  source: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  messages = false,
): Program =>
  startFile(
    process.execPath,
    ["--conditions=@saga-ipam/source", join(root, source), ...args],
    { NODE_COMPILE_CACHE: compileCache, ...env },
    messages,
  )

/** Starts a program that is no source of this project, by its path. */
export const startFile = (
  file: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  messages = false,
): Program => {
  const child = spawn(file, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", ...(messages ? (["ipc"] as const) : [])],
  }) as Program
  running.add(child)
  child.once("exit", () => running.delete(child))
  return child
}
