/** The memory of a server on this machine, as Linux counts it. */
import { readdirSync, readFileSync } from "node:fs"
import type postgres from "postgres"
import { table } from "./report.ts"

interface Memory {
  readonly resident: number
  /** Its own pages, and its part of those that it shares. */
  readonly proportional: number
  /** Its own pages alone. */
  readonly own: number
}

/** In MB; `undefined` where there is no such process, or its memory may not be read. */
const memoryOf = (pid: number): Memory | undefined => {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")
    const of = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) / 1024
    return { resident: of("Rss"), proportional: of("Pss"), own: of("Private_Clean") + of("Private_Dirty") }
  } catch {
    return undefined
  }
}

const parentOf = (pid: number): number | undefined => {
  try {
    // The name of the program, in parentheses, may contain anything.
    return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[1])
  } catch {
    return undefined
  }
}

/** A table of what this connection's process takes, and the whole server. Says so where the server is not on this machine. */
export const serverMemory = async (sql: postgres.Sql): Promise<string> => {
  const [row] = await sql.unsafe<Array<{ pid: number }>>("select pg_backend_pid() as pid")
  const pid = row?.pid ?? 0
  const backend = memoryOf(pid)
  const postmaster = parentOf(pid)
  if (backend === undefined || postmaster === undefined || !isServer(pid)) {
    return "Left out: memory, which needs a server on this machine, and Linux."
  }
  const processes = readdirSync("/proc")
    .map(Number)
    .filter((one) => one === postmaster || parentOf(one) === postmaster)
  const whole = processes.map(memoryOf).filter((one) => one !== undefined)
  const sum = (field: keyof Memory) => whole.reduce((total, one) => total + one[field], 0)
  const line = (name: string, { resident, proportional, own }: Memory) => [
    name,
    ...[resident, proportional, own].map((megabytes) => megabytes.toFixed(1)),
  ]
  return table(
    ["memory, MB", "resident", "with its part of what is shared", "its own"],
    [
      line("a connection after all of these calls", backend),
      line(`the server, ${whole.length} processes`, {
        resident: sum("resident"),
        proportional: sum("proportional"),
        own: sum("own"),
      }),
    ],
  )
}

/** Whether the process is PostgreSQL: the server may be on another machine, where the same pid is something else. */
const isServer = (pid: number): boolean => readFileSync(`/proc/${pid}/stat`, "utf8").includes("(postgres")
