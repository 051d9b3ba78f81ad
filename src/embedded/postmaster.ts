/**
 * What can be known about the server of a folder from outside: what it wrote into `postmaster.pid`, whether that process is
 * there, and whether it answers.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, statSync } from "node:fs"
import { setTimeout as pause } from "node:timers/promises"
import postgres from "postgres"
import { isRunning, superuser, type Layout } from "./cluster.ts"
import { EmbeddedServerFailed, systemCode } from "./failure.ts"

/** The lines of `postmaster.pid` that matter here. `status` is `"starting"`, `"ready"`, `"stopping"`, or empty at first. */
export interface PidFile {
  readonly pid: number
  readonly port: number
  readonly socketFolder: string
  readonly status: string
}

/** `undefined` when no server is said to run. Fails with `folder-unusable` when the folder is closed to this user. */
export const readPidFile = (layout: Layout): PidFile | undefined => {
  try {
    const lines = readFileSync(layout.pidFile, "utf8").split("\n")
    const pid = Number(lines[0])
    if (!Number.isInteger(pid) || pid <= 0) return undefined
    return { pid, port: Number(lines[3]), socketFolder: lines[4] ?? "", status: lines[7]?.trim() ?? "" }
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(error) ?? "")) return undefined
    if (systemCode(error) !== "EACCES") throw error
    throw new EmbeddedServerFailed(
      "folder-unusable",
      `The data folder ${layout.folder} belongs to another user; run as its owner, or choose another data folder`,
    )
  }
}

/**
 * Whether the process is the postmaster of this folder: its working directory is the cluster. The pid alone does not tell,
 * it may have been given to another process, or to a zombie that nobody collects.
 */
export const isPostmaster = (pid: number, layout: Layout): boolean => {
  try {
    return isSameFile(`/proc/${pid}/cwd`, layout.data)
  } catch (error) {
    if (systemCode(error) === "ENOENT" && existsSync("/proc/self/cwd")) return false
    // No /proc here, or no right to look: ask for the command line, and where that is hidden too, believe the pid.
    const { stdout, status } = spawnSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { encoding: "utf8" })
    return status === null ? isRunning(pid) : stdout.includes(layout.data)
  }
}

const isSameFile = (one: string, other: string): boolean => {
  const a = statSync(one, { bigint: true })
  const b = statSync(other, { bigint: true })
  return a.ino === b.ino && a.dev === b.dev
}

/** Whether the server of the pid file answers within `timeoutMs`, and serves this folder, not one that it was copied from. */
export const answers = async (
  layout: Layout,
  { pid, socketFolder, port }: PidFile,
  timeoutMs: number,
): Promise<boolean> => {
  const seconds = Math.max(1, Math.ceil(timeoutMs / 1000))
  const sql = postgres({
    host: socketFolder,
    port,
    user: superuser,
    database: "postgres",
    password: "",
    ssl: false,
    max: 1,
    fetch_types: false,
    prepare: false,
    connect_timeout: seconds,
    connection: { application_name: "saga-ipam probe" },
    onnotice: () => {},
  })
  const over = new AbortController()
  try {
    const rows = await Promise.race([
      sql.unsafe("select current_setting('data_directory') as folder"),
      pause(timeoutMs, [], { signal: over.signal }),
    ])
    const folder: unknown = rows[0]?.["folder"]
    return typeof folder === "string" && isSameFile(folder, layout.data)
  } catch (error) {
    // Every connection is taken (53300): it works, only the process can tell whose it is.
    return systemCode(error) === "53300" && isPostmaster(pid, layout)
  } finally {
    over.abort()
    await sql.end({ timeout: 0 })
  }
}
