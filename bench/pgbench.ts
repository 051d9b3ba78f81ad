/** Runs pgbench, if it is installed: it comes with PostgreSQL's server packages, but not with the embedded server. */
import { spawn } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

const debian = "/usr/lib/postgresql"
const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : []

/** The path of the program, found in PATH or in Debian's newest version of PostgreSQL; `undefined` if not installed. */
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
  /** Called once a second with the rate, in transactions per second. */
  readonly onSecond?: (rate: number) => void
}

export interface Outcome {
  /** Transactions per second, without the time to connect. */
  readonly rate: number
  readonly transactions: number
}

/** Runs the script with prepared statements. Rejects if pgbench or any transaction fails. */
export const runPgbench = async ({ url, script, clients, seconds, onSecond }: Run): Promise<Outcome> => {
  if (pgbench === undefined) throw new Error(withoutPgbench)
  // The password is passed in the environment: every user of the machine can see arguments.
  const target = new URL(url)
  const password = decodeURIComponent(target.password)
  target.password = ""
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
  const child = spawn(pgbench, [...options, ...progress, "-f", "-", target.href].map(String), {
    env: { ...process.env, ...(password === "" ? {} : { PGPASSWORD: password }) },
  })
  child.stdin.on("error", () => undefined)
  child.stdin.end(script)
  const output: Array<string> = []
  const errors: Array<string> = []
  createInterface(child.stdout).on("line", (line) => output.push(line))
  createInterface(child.stderr).on("line", (line) => {
    const rate = /^progress: [\d.]+ s, ([\d.]+) tps/.exec(line)?.[1]
    if (rate === undefined) errors.push(line)
    else onSecond?.(Number(rate))
  })
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  const number = (pattern: RegExp) => Number(pattern.exec(output.join("\n"))?.[1])
  const outcome = {
    rate: number(/^tps = ([\d.]+)/m),
    transactions: number(/^number of transactions actually processed: (\d+)/m),
  }
  if (status !== 0 || Number.isNaN(outcome.rate + outcome.transactions)) {
    throw new Error(`pgbench ended with ${status}: ${errors.slice(-3).join("; ")}`)
  }
  return outcome
}
