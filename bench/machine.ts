/** Describes what the figures were measured on: machine, versions and commit, without names of hosts, users or folders. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { arch, cpus, totalmem, type } from "node:os"
import type { Bench } from "./database.ts"
import { table } from "./report.ts"

const git = (...words: ReadonlyArray<string>): string => {
  try {
    return execFileSync("git", words, {
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    })
  } catch {
    return ""
  }
}

const commit = (): string => {
  const hash = git("rev-parse", "--short=10", "HEAD").trim()
  if (hash === "") return "unknown"
  const changed = git(
    "status",
    "--porcelain",
    "--untracked-files=no",
    "--",
    "../sql",
    "../src",
    ".",
    ":!results",
  ).trim()
  return changed === "" ? hash : `${hash}, with changes`
}

const settings = ["server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size"] as const

/** The version of the server and its settings that affect the figures. */
export const serverFacts = async ({ sql }: Pick<Bench, "sql">): Promise<Readonly<Record<string, string>>> => {
  const columns = settings.map((name) => `current_setting('${name}') as ${name}`).join(", ")
  const [row] = await sql.unsafe<Array<Record<string, string>>>(`select ${columns}`)
  return row ?? {}
}

const coreTimes = () => {
  const times = cpus().map((core) => Object.values(core.times).reduce((sum, time) => sum + time, 0))
  const idle = cpus().map((core) => core.times.idle)
  return { all: times.reduce((sum, time) => sum + time, 0), idle: idle.reduce((sum, time) => sum + time, 0) }
}

export interface Busy {
  /** The load of this process, as a fraction of one core; it may exceed 1, since garbage is collected in other threads. */
  readonly node: number
  /** The load of all cores together, from 0 to 1, other programs included. */
  readonly machine: number
}

/** Runs the work and measures the load meanwhile. */
export const busyWhile = async <A>(work: () => Promise<A>): Promise<readonly [A, Busy]> => {
  const [before, cores, start] = [process.cpuUsage(), coreTimes(), performance.now()]
  const answer = await work()
  const { user, system } = process.cpuUsage(before)
  const { all, idle } = coreTimes()
  return [
    answer,
    {
      node: (user + system) / 1000 / (performance.now() - start),
      machine: 1 - (idle - cores.idle) / Math.max(1, all - cores.all),
    },
  ]
}

/** The table at the head of the results. */
export const machineTable = (server: Readonly<Record<string, string>>): string => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
  const { server_version: version, ...others } = server
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  return table(
    ["", ""],
    [
      ["CPU", `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores, ${type()} ${arch()}`],
      ["memory", `${gigabytes} GiB`],
      [
        "PostgreSQL",
        `${version}; ${Object.entries(others)
          .map(([name, value]) => `${name} ${value}`)
          .join(", ")}`,
      ],
      ["Node", process.version],
      ["saga-ipam", `${manifest.version}, commit ${commit()}`],
      ["date", new Date().toISOString().slice(0, 10)],
    ],
  ).replaceAll("---:", "---")
}
