/**
 * The embedded PostgreSQL server of a folder: start or adopt it, read its status, stop it, remove it.
 *
 * Every wait has a bound. Several processes may call at once: PostgreSQL's own lock file decides which of them starts the server,
 * and the others adopt it. The server outlives the process that started it; `sharedServer.ts` stops it when its last user leaves.
 */
import { existsSync, rmdirSync } from "node:fs"
import { rm } from "node:fs/promises"
import { homedir } from "node:os"
import { isAbsolute, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { layoutOf, superuser, unfinished, type Layout } from "./cluster.ts"
import { EmbeddedServerFailed, mapSystemErrors, notStartedReason, systemCode } from "./failure.ts"
import { dismissIdle } from "./idle.ts"
import { launch, type Launched, type LaunchOptions } from "./launch.ts"
import { answers, isPostmaster, readPidFile, type PidFile } from "./postmaster.ts"
import { existingSocketFolder, linkedSocketFolder } from "./socketFolder.ts"

export interface ServerOptions extends LaunchOptions {
  /** How long the server may take until it answers, including crash recovery but not initdb. Default 60,000. */
  readonly timeoutMs?: number | undefined
}

/** A server that answers. */
export interface RunningServer {
  readonly how: "started" | "adopted"
  readonly pid: number
  /** The absolute path of the folder of its unix socket: the `host` of a connection. Mode 0700. */
  readonly host: string
  /** The port in the socket's name; there is no TCP. */
  readonly port: number
  /** The superuser. No password is needed. */
  readonly user: string
  /** A database that is always there. */
  readonly database: string
  readonly folder: string
  /** The file that the server logs to. */
  readonly log: string
  /** For programs such as psql: `postgres:///postgres?host=...`. */
  readonly url: string
}

/** `unresponsive`: the server runs but does not answer, since it is starting, recovering or stopping, or hangs. */
export type ServerStatus =
  | ({ readonly state: "running" } & Omit<RunningServer, "how">)
  | { readonly state: "unresponsive"; readonly pid: number; readonly folder: string; readonly log: string }
  | { readonly state: "stopped"; readonly folder: string }

/** The data folder if none is named: as root `/var/lib/saga-ipam`, since the server's user cannot enter root's home. */
export const defaultDataFolder = (): string => {
  if (process.getuid?.() === 0) return "/var/lib/saga-ipam"
  const shared = process.env["XDG_DATA_HOME"] ?? ""
  return isAbsolute(shared) ? join(shared, "saga-ipam") : join(homedir(), ".local", "share", "saga-ipam")
}

/** The server of the folder, which is started if none runs; the folder and the cluster are created if they are missing. */
export const startServer = (folder: string, options: ServerOptions = {}): Promise<RunningServer> =>
  mapSystemErrors(folder, async () => {
    const layout = layoutOf(folder)
    let deadline = deadlineIn(options.timeoutMs ?? 60_000)
    let launched: Launched | undefined
    let launches = 0
    for (;;) {
      const pidFile = readPidFile(layout)
      if (pidFile?.status === "ready" && (await answers(layout, pidFile, Math.min(5000, deadline.left())))) {
        return toRunningServer(layout, pidFile, launched?.pid === pidFile.pid ? "started" : "adopted")
      }
      const ended = launched?.ended()
      if (ended !== undefined) {
        launched = undefined
        if (!ended.lostRace || deadline.left() === 0) throw notStarted(layout, ended.output)
      }
      const alive = pidFile !== undefined && isPostmaster(pidFile.pid, layout)
      if (deadline.left() === 0) throw notReady(layout, pidFile)
      if (launched !== undefined || alive || ended !== undefined) {
        await pause(5)
        continue
      }
      launched = await launch(layout, options, pidFile?.pid)
      // The first launch may have created a cluster and copied binaries, which have bounds of their own.
      if (launches++ === 0) deadline = deadlineIn(options.timeoutMs ?? 60_000)
    }
  })

/**
 * Stops the server. Its connections are cut; what was committed stays. Waits up to `timeoutMs` for a shutdown with a checkpoint,
 * then up to `timeoutMs` again for one without, after which the next start has to recover.
 */
export const stopServer = (folder: string, timeoutMs = 30_000): Promise<"stopped" | "not running"> =>
  stopWith(folder, ["SIGINT", "SIGQUIT"], timeoutMs)

/** The state of the server of the folder. Changes nothing; waits two seconds at most. */
export const serverStatus = (folder: string): Promise<ServerStatus> =>
  mapSystemErrors(folder, async () => {
    const layout = layoutOf(folder)
    const pidFile = readPidFile(layout)
    if (pidFile?.status === "ready" && (await answers(layout, pidFile, 2000))) {
      const { how: _, ...server } = toRunningServer(layout, pidFile, "adopted")
      return { state: "running", ...server }
    }
    return pidFile !== undefined && isPostmaster(pidFile.pid, layout)
      ? { state: "unresponsive", pid: pidFile.pid, folder: layout.folder, log: layout.log }
      : { state: "stopped", folder: layout.folder }
  })

/** Stops the server at once and deletes its data for good; the folder itself is deleted only if nothing else is in it. */
export const removeServer = async (folder: string): Promise<void> => {
  await stopWith(folder, ["SIGQUIT", "SIGKILL"], 10_000)
  await mapSystemErrors(folder, async () => {
    const layout = layoutOf(folder)
    const linkedSocket = linkedSocketFolder(layout)
    const parts = [
      layout.data,
      layout.log,
      layout.oldLog,
      layout.socket,
      ...unfinished(layout).map((name) => join(layout.folder, name)),
    ]
    for (const path of linkedSocket === undefined ? parts : [linkedSocket, ...parts]) {
      await rm(path, { recursive: true, force: true, maxRetries: 3 })
    }
    try {
      rmdirSync(layout.folder)
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST", "ENOENT"].includes(systemCode(error) ?? "")) throw error
    }
  })
}

/** Sends the signals in order, each with `timeoutMs` to stop the server, and dismisses the processes that keep it idle. */
const stopWith = (folder: string, signals: ReadonlyArray<NodeJS.Signals>, timeoutMs: number) =>
  mapSystemErrors(folder, async (): Promise<"stopped" | "not running"> => {
    const layout = layoutOf(folder)
    const outcome = await signalUntilStopped(layout, signals, timeoutMs)
    const socketFolder = existingSocketFolder(layout)
    if (socketFolder !== undefined) await dismissIdle(socketFolder)
    return outcome
  })

const signalUntilStopped = async (layout: Layout, signals: ReadonlyArray<NodeJS.Signals>, timeoutMs: number) => {
  const pidFile = readPidFile(layout)
  if (pidFile === undefined || !isPostmaster(pidFile.pid, layout)) return "not running"
  for (const signal of signals) {
    send(pidFile.pid, signal, layout)
    const deadline = deadlineIn(timeoutMs)
    for (; deadline.left() > 0; await pause(10)) if (!isPostmaster(pidFile.pid, layout)) return "stopped"
  }
  throw new EmbeddedServerFailed(
    "not-stopped",
    `The server (pid ${pidFile.pid}) did not stop; its log is ${layout.log}`,
  )
}

const send = (pid: number, signal: NodeJS.Signals, layout: Layout): void => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // The process has ended in the meantime.
    if (systemCode(error) === "ESRCH") return
    throw new EmbeddedServerFailed(
      "not-permitted",
      `The server of ${layout.folder} (pid ${pid}) belongs to another user; stop it as that user or as root`,
    )
  }
}

const toRunningServer = (
  layout: Layout,
  { pid, port, socketFolder }: PidFile,
  how: RunningServer["how"],
): RunningServer => ({
  how,
  pid,
  host: socketFolder,
  port,
  user: superuser,
  database: "postgres",
  folder: layout.folder,
  log: layout.log,
  url: `postgres:///postgres?host=${encodeURIComponent(socketFolder)}&port=${port}&user=${superuser}`,
})

/** A point in time, given in milliseconds from now. `left` is how many of them remain, never less than 0. */
const deadlineIn = (milliseconds: number) => {
  const at = performance.now() + milliseconds
  return { left: () => Math.max(0, at - performance.now()) }
}

const notStarted = (layout: Layout, output: string) =>
  new EmbeddedServerFailed(
    notStartedReason(output),
    `PostgreSQL did not start in ${layout.folder}: ${output} (log: ${layout.log})`,
  )

const notReady = (layout: Layout, pidFile: PidFile | undefined) =>
  new EmbeddedServerFailed(
    "not-ready",
    `The server of ${layout.folder} is not ready yet (${pidFile?.status || "no status"}, pid ${pidFile?.pid ?? "unknown"}); ` +
      `try again, or see ${layout.log}` +
      (existsSync(layout.log) ? "" : ", which does not exist yet"),
  )
