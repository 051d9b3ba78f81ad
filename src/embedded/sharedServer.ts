/**
 * The server of a folder as programs share it: it runs while at least one of them uses it, and the last one stops it.
 *
 * - Every program that uses it is present as a user (`presence.ts`), and has a watchdog that stops the server in its place if it is killed.
 * - Starting and stopping exclude each other. A program first appears as a user, and then waits for everybody who is about to stop the
 *   server. Whoever stops it first appears as such, and then gives up if there are users. If both happen at once, at least one of them
 *   sees the other.
 * - A watchdog that is killed is replaced by its program. Only if both are killed in the same moment is nobody left to stop the server;
 *   the next program that uses it does so at its end.
 */
import { spawn } from "node:child_process"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { findBinaries } from "./binaries.ts"
import { checkOwner, clusterMajor, layoutOf, makeFolder, type Layout } from "./cluster.ts"
import { EmbeddedServerFailed, mapSystemErrors } from "./failure.ts"
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

/**
 * Uses the server of the folder until `release`. It is started if none runs; the folder and the cluster are made if they are missing.
 * Fails as `startServer`, leaving nothing that runs except a server that is not ready yet.
 */
export const acquireServer = (folder: string, options: SharedServerOptions = {}): Promise<AcquiredServer> =>
  mapSystemErrors(folder, async () => {
    const layout = layoutOf(folder)
    // Fails where the data is another user's, before anything is made there.
    readPidFile(layout)
    const socketFolder = existingSocketFolder(layout) ?? (await prepareFolder(layout, options))
    const user = await appear(socketFolder, "user")
    let dismissWatchdog = watch(keeperCommand(layout, "starting"))
    const release = async (idleMs: number) => {
      if (idleMs > 0 && !(await askToKeep(socketFolder, idleMs))) await startIdleKeeper(layout, idleMs)
      user.leave()
      await stopUnused(folder)
      dismissWatchdog()
    }
    try {
      await waitForStops(layout, socketFolder, options.timeoutMs ?? 60_000)
      const server = await startServer(folder, options)
      options.signal?.throwIfAborted()
      // The server's pid is known from now on, so a watchdog need not wait for it.
      const dismissFirst = dismissWatchdog
      dismissWatchdog = watch(keeperCommand(layout))
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
  mapSystemErrors(folder, async () => {
    const layout = layoutOf(folder)
    const socketFolder = existingSocketFolder(layout)
    if (socketFolder === undefined) return stopServer(folder)
    const stopper = await appear(socketFolder, "stop")
    try {
      const users = await present(socketFolder, ["user", "idle"])
      return users.length > 0 ? "in use" : await stopServer(folder)
    } finally {
      stopper.leave()
    }
  })

/** Keeps the server running for the next user, that long or longer if others ask for it, then stops it unless it is used. */
export const keepIdle = (folder: string, milliseconds: number, onKept: () => void): Promise<void> =>
  mapSystemErrors(folder, async () => {
    const layout = layoutOf(folder)
    const socketFolder = existingSocketFolder(layout)
    if (socketFolder === undefined) return
    const dismissWatchdog = watch(keeperCommand(layout))
    await stayIdle(socketFolder, milliseconds, onKept)
    await stopUnused(folder)
    dismissWatchdog()
  })

/** How long the start of a process may take. */
const SPAWN_MS = 20_000

/** Starts a process that keeps the server running. Resolves when it does so, or cannot. */
const startIdleKeeper = (layout: Layout, milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    const [program = "", ...args] = keeperCommand(layout, "idle", String(milliseconds))
    const child = spawn(program, args, { ...detachedProgram, stdio: ["ignore", "pipe", "ignore"] })
    const end = () => {
      clearTimeout(timer)
      child.stdout.destroy()
      resolve()
    }
    const timer = setTimeout(end, SPAWN_MS)
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

/** Resolves when nobody is about to stop the server any more. Whoever wants to from now on sees that it is used. */
const waitForStops = async (layout: Layout, socketFolder: string, timeoutMs: number): Promise<void> => {
  const end = performance.now() + timeoutMs
  while ((await present(socketFolder, ["stop"])).length > 0) {
    if (performance.now() > end) {
      throw new EmbeddedServerFailed("not-ready", `The server of ${layout.folder} is still being stopped; try again`)
    }
    await pause(10)
  }
}

/** The command that stops the server unless it is used. `keeper.ts` stands beside this file, in the sources and in a build. */
const keeperCommand = ({ folder }: Layout, ...task: ReadonlyArray<string>): ReadonlyArray<string> => [
  process.execPath,
  fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "keeper.ts" : "keeper.js", import.meta.url)),
  folder,
  ...task,
]
