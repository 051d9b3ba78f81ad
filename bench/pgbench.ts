/** pgbench, where it is installed: it comes with PostgreSQL's server packages, not with the embedded server. */
import { spawn } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

const debian = "/usr/lib/postgresql"
const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : []

/** The program, from PATH or of the newest of Debian's versions; undefined where there is none. */
export const pgbench: string | undefined = [
  ...(process.env["PATH"] ?? "").split(":"),
  ...versions.map((version) => join(debian, version, "bin")),
]
  .map((folder) => join(folder, "pgbench"))
  .find((path) => existsSync(path))

export const withoutPgbench = "pgbench is not installed (it comes with PostgreSQL's server packages)"

export interface Run {
  readonly url: string
  readonly script: string
  readonly clients: number
  readonly seconds: number
  /** Told once a second how many transactions a second there were. */
  readonly onSecond?: (rate: number) => void
}

export interface Outcome {
  /** Transactions a second, without the time it took to connect. */
  readonly rate: number
  readonly transactions: number
}

/** Runs the script with prepared statements. Rejects when pgbench fails, or any transaction does. */
export const runPgbench = async ({ url, script, clients, seconds, onSecond }: Run): Promise<Outcome> => {
  if (pgbench === undefined) throw new Error(withoutPgbench)
  // The password goes by the environment: arguments can be seen by every user of the machine.
  const place = new URL(url)
  const password = decodeURIComponent(place.password)
  place.password = ""
  const options = [
    "-n",
    "-M",
    "prepared",
    "-c",
    clients,
    "-j",
    Math.min(clients, availableParallelism()),
    "-T",
    seconds,
  ]
  const progress = onSecond === undefined ? [] : ["-P", 1]
  const child = spawn(pgbench, [...options, ...progress, "-f", "-", place.href].map(String), {
    env: { ...process.env, ...(password === "" ? {} : { PGPASSWORD: password }) },
  })
  child.stdin.on("error", () => undefined)
  child.stdin.end(script)
  const said: Array<string> = []
  const complained: Array<string> = []
  createInterface(child.stdout).on("line", (line) => said.push(line))
  createInterface(child.stderr).on("line", (line) => {
    const rate = /^progress: [\d.]+ s, ([\d.]+) tps/.exec(line)?.[1]
    if (rate === undefined) complained.push(line)
    else onSecond?.(Number(rate))
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  const number = (pattern: RegExp) => Number(pattern.exec(said.join("\n"))?.[1])
  const outcome = {
    rate: number(/^tps = ([\d.]+)/m),
    transactions: number(/^number of transactions actually processed: (\d+)/m),
  }
  if (status !== 0 || Number.isNaN(outcome.rate + outcome.transactions)) {
    throw new Error(`pgbench ended with ${status}: ${complained.slice(-3).join("; ")}`)
  }
  return outcome
}
