/**
 * Launches `postgres` on a folder, once: binaries, folder, cluster, socket, log, process. The caller finds out whether it becomes
 * ready. If the process ends instead, this module knows what it wrote to its log about that.
 */
import { spawn } from "node:child_process"
import { closeSync, constants, fstatSync, openSync, readSync, renameSync } from "node:fs"
import { findBinaries, type BinariesOptions } from "./binaries.ts"
import { checkOwner, clusterMajor, makeCluster, makeFolder, type Layout } from "./cluster.ts"
import { makeSocketFolder, socketPort } from "./socketFolder.ts"
import { cannotRunAs, runningAs, serverUser } from "./user.ts"

export interface LaunchOptions extends BinariesOptions {
  /** `false` leaves out every flush to disk: for data that need not survive a crash of the machine. Default `true`. */
  readonly durable?: boolean | undefined
  /** Settings of PostgreSQL for this start, such as `{ max_connections: "300" }`; without effect on a server that runs already. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/** A process that was started. */
export interface Launched {
  readonly pid: number | undefined
  /** `undefined` while it runs. `lostRace`: another server has the folder, or its last processes are still leaving it. */
  readonly ended: () => { readonly output: string; readonly lostRace: boolean } | undefined
}

/** Starts the server. `stalePid` is what `postmaster.pid` says although that process is not the folder's server. */
export const launch = async (
  layout: Layout,
  options: LaunchOptions,
  stalePid: number | undefined,
): Promise<Launched> => {
  const user = serverUser([layout.data, layout.folder])
  checkOwner(layout, user)
  const durable = options.durable ?? true
  const binaries = await findBinaries(user, options, clusterMajor(layout))
  makeFolder(layout, user)
  await makeCluster(layout, user, binaries, durable)
  const socket = makeSocketFolder(layout, user)
  const settings = {
    ...(durable ? {} : { fsync: "off", full_page_writes: "off" }),
    ...options.settings,
    listen_addresses: "",
    port: String(socketPort),
    unix_socket_directories: socket,
    unix_socket_permissions: "0700",
  }
  const log = openLog(layout)
  try {
    const begin = fstatSync(log).size
    const spawnOptions = runningAs(user)
    const child = spawn(
      binaries.postgres,
      ["-D", layout.data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
      {
        ...spawnOptions,
        // PostgreSQL takes a lock file for stale when its process is gone, or is its own grandparent: this says that the
        // process which now has that pid is not a server. Any other pid that it finds in the file still keeps it out.
        env: { ...spawnOptions.env, ...(stalePid === undefined ? {} : { PG_GRANDPARENT_PID: String(stalePid) }) },
        // In a session of its own: Ctrl-C on a terminal reaches our process group, not the server.
        detached: true,
        stdio: ["ignore", log, log],
      },
    )
    child.unref()
    let end: string | undefined
    child.once("error", (error) => (end = error.message))
    child.once("exit", (code, signal) => (end ??= `it ended with ${signal ?? `exit ${code}`}`))
    return {
      pid: child.pid,
      ended: () => {
        if (end === undefined) return undefined
        const output = lastOutput(layout, begin, child.pid)
        return { output: output || end, lostRace: /lock file|shared memory block/.test(output) }
      },
    }
  } catch (error) {
    throw user.drop && error instanceof Error ? cannotRunAs(user, error) : error
  } finally {
    closeSync(log)
  }
}

/** A log past this size is kept as `log.old` and begun anew. */
const largestLog = 16 * 1024 * 1024

/** The log, opened for the server to append to. A file and not a pipe, whose reader would end with this process. */
const openLog = (layout: Layout): number => {
  const flags = constants.O_APPEND | constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW
  const file = openSync(layout.log, flags, 0o600)
  if (fstatSync(file).size < largestLog) return file
  closeSync(file)
  renameSync(layout.log, layout.oldLog)
  return openSync(layout.log, flags, 0o600)
}

/** What the process wrote into the log about its end: several processes may have written since `begin`. */
const lastOutput = (layout: Layout, begin: number, pid: number | undefined): string => {
  const file = openSync(layout.log, "r")
  try {
    const buffer = Buffer.alloc(Math.min(65_536, Math.max(0, fstatSync(file).size - begin)))
    readSync(file, buffer, 0, buffer.length, begin)
    const lines = buffer.toString("utf8").trim().split("\n")
    const own = lines.filter((line) => line.includes(`[${pid}] FATAL`) || line.includes(`[${pid}] PANIC`))
    return (own.length > 0 ? own : lines.slice(-5)).join("\n")
  } finally {
    closeSync(file)
  }
}
