/**
 * The server of a folder as programs share it: running while one of them uses it, stopped by the last one.
 *
 * Each is present as a user (`presence.ts`), so what counts is who is there, not what was written down; and each has a watchdog, which
 * stops the server in its stead when the program dies. Starting and stopping cannot cross: a program first appears as a user and
 * then waits for those who may be stopping the server; whoever wants to stop it first appears as that, then looks for users. Of two who
 * do so at once at least one sees the other, and it is the one who stops that gives way.
 *
 * What remains is a program and its watchdog killed in one moment, before it can start another: then the next program that uses the
 * server stops it at its end.
 */
import { spawn } from "node:child_process"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { findBinaries } from "./binaries.ts"
import { checkOwner, clusterMajor, layoutOf, makeFolder, type Layout } from "./cluster.ts"
import { EmbeddedServerFailed, expected } from "./failure.ts"
import { askToKeep, stayIdle } from "./idle.ts"
import { readPidFile } from "./postmaster.ts"
import { appear, present } from "./presence.ts"
import { startServer, stopServer, type RunningServer, type ServerOptions } from "./server.ts"
import { existingSocketFolder, makeSocketFolder } from "./socketFolder.ts"
import { serverUser } from "./user.ts"
import { detachedProgram, watch } from "./watchdog.ts"

export interface SharedServerOptions extends ServerOptions {
  /** How long the server is kept for the next user after this one released it, in milliseconds. Default 0. */
  readonly idleMs?: number | undefined
  /** Aborted, the server is released once it has started, and the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export interface AcquiredServer extends RunningServer {
  /** Ends the use of it. The last one stops the server, or has it kept for `idleMs`. May be called again. */
  readonly release: () => Promise<void>
}

/** Uses the server of the folder, started when none runs; the folder and the cluster are made when they are missing. */
export const acquireServer = (folder: string, options: SharedServerOptions = {}): Promise<AcquiredServer> =>
  expected(folder, async () => {
    const layout = layoutOf(folder)
    // Fails where the data is another user's, before anything is made there.
    readPidFile(layout)
    const sockets = existingSocketFolder(layout) ?? (await prepareFolder(layout, options))
    const user = await appear(sockets, "user")
    let dismissWatchdog = watch(keeper(layout, "starting"))
    const release = async (idleMs: number) => {
      if (idleMs > 0 && !(await askToKeep(sockets, idleMs))) await startIdleKeeper(layout, idleMs)
      user.leave()
      await stopUnused(folder)
      dismissWatchdog()
    }
    try {
      await othersHaveStopped(layout, sockets, options.timeoutMs ?? 60_000)
      const server = await startServer(folder, options)
      options.signal?.throwIfAborted()
      const dismissFirst = dismissWatchdog
      dismissWatchdog = watch(keeper(layout))
      dismissFirst()
      let released: Promise<void> | undefined
      return { ...server, release: () => (released ??= release(options.idleMs ?? 0)) }
    } catch (error) {
      // One that is not ready yet may be by the next call. The watchdog stops it if there is none.
      if (error instanceof EmbeddedServerFailed && error.reason === "not-ready") user.leave()
      // A failure to stop it again would hide this one.
      else await release(0).catch(() => undefined)
      throw error
    }
  })

/** Stops the server of the folder unless somebody uses it, or keeps it for the next user. */
export const stopUnused = (folder: string): Promise<"stopped" | "not running" | "in use"> =>
  expected(folder, async () => {
    const layout = layoutOf(folder)
    const sockets = existingSocketFolder(layout)
    if (sockets === undefined) return stopServer(folder)
    const stopper = await appear(sockets, "stop")
    try {
      const users = await present(sockets, ["user", "idle"])
      return users.length > 0 ? "in use" : await stopServer(folder)
    } finally {
      stopper.leave()
    }
  })

/** Keeps the server for the next user, so long or as long as others ask, then stops it unless it is used. */
export const keepIdle = (folder: string, milliseconds: number, onKept: () => void): Promise<void> =>
  expected(folder, async () => {
    const layout = layoutOf(folder)
    const sockets = existingSocketFolder(layout)
    if (sockets === undefined) return
    const dismissWatchdog = watch(keeper(layout))
    await stayIdle(sockets, milliseconds, onKept)
    await stopUnused(folder)
    dismissWatchdog()
  })

/** Starts a process that keeps the server, and resolves when it does, or cannot. */
const startIdleKeeper = (layout: Layout, milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    const [program = "", ...args] = keeper(layout, "idle", String(milliseconds))
    const child = spawn(program, args, {
      ...detachedProgram,
      stdio: ["ignore", "pipe", "ignore"],
    })
    const end = () => {
      child.stdout.destroy()
      resolve()
    }
    child.once("error", end).unref()
    child.stdout.once("data", end).once("close", end)
  })

/** Makes the folder with the folder of its socket, unless no server could run in it. */
const prepareFolder = async (layout: Layout, options: ServerOptions): Promise<string> => {
  const user = serverUser([layout.data, layout.folder])
  checkOwner(layout, user)
  await findBinaries(user, options, clusterMajor(layout))
  makeFolder(layout, user)
  return makeSocketFolder(layout, user)
}

/** Resolves when nobody is about to stop the server any more; who comes later sees that it is used. */
const othersHaveStopped = async (layout: Layout, sockets: string, timeoutMs: number): Promise<void> => {
  const end = performance.now() + timeoutMs
  while ((await present(sockets, ["stop"])).length > 0) {
    if (performance.now() > end) {
      throw new EmbeddedServerFailed("not-ready", `The server of ${layout.folder} is still being stopped; try again`)
    }
    await pause(10)
  }
}

/** The command that stops the server unless it is used. `keeper.ts` stands beside this file, in the sources and in a build. */
const keeper = ({ folder }: Layout, ...task: ReadonlyArray<string>): ReadonlyArray<string> => [
  process.execPath,
  fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "keeper.ts" : "keeper.js", import.meta.url)),
  folder,
  ...task,
]
