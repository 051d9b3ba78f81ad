/** What the figures were measured on: the machine, the versions, the commit. No names of hosts, users or folders. */
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
  if (hash === "") return "not known"
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

/** The server's version and the settings that figures depend on. */
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
  /** The part of one core that this process uses; all of it may be more than 1, since its garbage is collected beside it. */
  readonly node: number
  /** The part of all cores that anybody uses, other programs included. */
  readonly machine: number
}

/** Runs the work and tells who was busy meanwhile. */
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

/** As a table for the head of the results. */
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
