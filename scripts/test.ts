/**
 * Runs the tests and prints `N passed, N failed` as the last line. Before it stand a line `failed: ...` for each test that failed, a
 * line `skipped: ...` for each that says why it cannot run here, and how many were skipped.
 *
 * Fails if a test fails, or the run itself: an error outside any test, a server that does not start, or no tests at all.
 *
 *     node scripts/test.ts [FILES]                 the short tests, or these files of them
 *     node scripts/test.ts --long [FILES]          the long tests, or these files of them; without FILES also the short tests
 *                                                  that depend on the server, on Debian's PostgreSQL 15
 *     node scripts/test.ts --long --minutes 30     the same, each long test for 30 minutes instead of one
 *     node scripts/test.ts --postgres=15 [FILES]   on Debian's PostgreSQL 15, or left out if it is not installed
 *
 * All other arguments are passed to vitest.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import type { TestCounts } from "./testCounts.ts"

const postgres15 = "/usr/lib/postgresql/15/bin"

/** The short tests that depend on the version of the server. */
const dependOnServer = (
  "test/contract test/database test/import test/plans test/promise test/properties test/races test/services " +
  "test/saga"
).split(" ")

interface Run {
  readonly arguments: ReadonlyArray<string>
  readonly on15: boolean
  readonly minutes?: string | undefined
}

interface Outcome {
  /** The exit status, as in a shell. */
  readonly status: number
  /** `undefined` if the run did not complete. */
  readonly counts: TestCounts | undefined
}

const main = async (): Promise<number> => {
  const outcomes: Array<Outcome> = []
  for (const run of readRuns(process.argv.slice(2))) {
    if (run.on15) {
      if (existsSync(join(postgres15, "postgres"))) console.log("On PostgreSQL 15:")
      else {
        console.log(`left out: the tests on PostgreSQL 15, which is not installed (${postgres15})`)
        outcomes.push({ status: 0, counts: { passed: 0, failed: 0, skipped: 0, failures: [], reasons: [] } })
        continue
      }
    }
    const outcome = await runVitest(run)
    outcomes.push(outcome)
    // Ended by a signal: do not start the next run.
    if (outcome.status > 128) break
  }
  return conclude(outcomes)
}

const readRuns = (args: ReadonlyArray<string>): ReadonlyArray<Run> => {
  const rest = args.filter((argument) => argument !== "--long" && argument !== "--postgres=15")
  const at = rest.indexOf("--minutes")
  const [, minutes] = at === -1 ? [] : rest.splice(at, 2)
  const on15 = args.includes("--postgres=15")
  if (!args.includes("--long")) return [{ arguments: rest, on15 }]
  const long: Run = { arguments: ["--mode", "long", ...rest], on15, minutes }
  return on15 || rest.length > 0 ? [long] : [long, { arguments: dependOnServer, on15: true }]
}

const runVitest = async (run: Run): Promise<Outcome> => {
  const folder = mkdtempSync(join(tmpdir(), "ipam-counts-"))
  try {
    const file = join(folder, "counts.json")
    const { DATABASE_URL: url, ...others } = process.env
    const status = await spawnVitest(run.arguments, {
      ...others,
      ...(run.on15 ? { SAGA_IPAM_TEST_BINARIES: postgres15 } : { DATABASE_URL: url }),
      ...(run.minutes === undefined ? {} : { SAGA_IPAM_TEST_MINUTES: run.minutes }),
      SAGA_IPAM_TEST_COUNTS: file,
    })
    if (!existsSync(file)) return { status: status === 0 ? 1 : status, counts: undefined }
    const counts = JSON.parse(readFileSync(file, "utf8")) as TestCounts
    return { status: status === 0 && (counts.failed > 0 || counts.passed === 0) ? 1 : status, counts }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const spawnVitest = (rest: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Promise<number> =>
  new Promise((resolve, reject) => {
    const program = join(import.meta.dirname, "..", "node_modules", "vitest", "vitest.mjs")
    const reporters = ["--reporter=default", `--reporter=${join(import.meta.dirname, "testCounts.ts")}`]
    const child = spawn(process.execPath, [program, "run", ...reporters, ...rest], { stdio: "inherit", env })
    // A terminal signals the whole process group, other programs only this process. Either way vitest stops the server and ends first.
    const pass = (signal: NodeJS.Signals) => void child.kill(signal)
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
    for (const signal of signals) process.on(signal, pass)
    child.on("error", reject)
    child.on("exit", (code, signal) => {
      for (const one of signals) process.off(one, pass)
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal])
    })
  })

/** Prints the totals, and returns the exit status of all runs. */
const conclude = (outcomes: ReadonlyArray<Outcome>): number => {
  const sum = (of: "passed" | "failed" | "skipped") =>
    outcomes.reduce((total, { counts }) => total + (counts?.[of] ?? 0), 0)
  const failed = outcomes.find(({ status }) => status !== 0)
  if (outcomes.some(({ counts }) => counts === undefined)) console.log("The tests did not complete.")
  else if (failed !== undefined && sum("failed") === 0) console.log("The run failed outside the tests: see above.")
  for (const failure of outcomes.flatMap(({ counts }) => counts?.failures ?? [])) console.log(`failed: ${failure}`)
  for (const reason of outcomes.flatMap(({ counts }) => counts?.reasons ?? [])) console.log(`skipped: ${reason}`)
  if (sum("skipped") > 0) console.log(`${sum("skipped")} skipped`)
  console.log(`${sum("passed")} passed, ${sum("failed")} failed`)
  return failed?.status ?? 0
}

process.exitCode = await main()
