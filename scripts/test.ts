/**
 * Runs the tests and prints `N passed, N failed` as the very last line; how many were skipped stands in the line before.
 *
 * Fails when a test fails, and also when the runner does: an error outside of any test, a server that does not start, no tests at all.
 * Arguments go to vitest, but for `--postgres=15`: the suite on Debian's PostgreSQL 15, or, where that is not installed, word of it.
 */
import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import type { TestCounts } from "./testCounts.ts"

const postgres15 = "/usr/lib/postgresql/15/bin"

const main = async (): Promise<number> => {
  const { on15, rest } = readArguments(process.argv.slice(2))
  if (on15 && !existsSync(join(postgres15, "postgres"))) {
    console.log(`left out: the tests on PostgreSQL 15, since Debian's is not installed (${postgres15})`)
    return 0
  }
  const folder = mkdtempSync(join(tmpdir(), "ipam-counts-"))
  try {
    const file = join(folder, "counts.json")
    const { DATABASE_URL: url, ...others } = process.env
    const server = on15 ? { SAGA_IPAM_TEST_BINARIES: postgres15 } : { DATABASE_URL: url }
    const status = await runVitest(rest, { ...others, ...server, SAGA_IPAM_TEST_COUNTS: file })
    return conclude(status, readCounts(file))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const readArguments = (given: ReadonlyArray<string>) => ({
  on15: given.includes("--postgres=15"),
  rest: given.filter((argument) => argument !== "--postgres=15"),
})

/** The exit status, as a shell would give it. */
const runVitest = (rest: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Promise<number> =>
  new Promise((resolve, reject) => {
    const program = join(import.meta.dirname, "..", "node_modules", "vitest", "vitest.mjs")
    const reporters = ["--reporter=default", `--reporter=${join(import.meta.dirname, "testCounts.ts")}`]
    const child = spawn(process.execPath, [program, "run", ...reporters, ...rest], { stdio: "inherit", env })
    // A terminal tells the whole group; anything else tells us alone. Either way vitest stops the server, and then we end.
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal))
    child.on("error", reject)
    child.on("exit", (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]))
  })

const readCounts = (file: string): TestCounts | undefined =>
  existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as TestCounts) : undefined

const conclude = (status: number, counts: TestCounts | undefined): number => {
  const { passed, failed, skipped } = counts ?? { passed: 0, failed: 0, skipped: 0 }
  if (counts === undefined) console.log("The tests did not run to their end.")
  else if (status !== 0 && failed === 0) console.log("The run failed outside of the tests: see above.")
  if (skipped > 0) console.log(`${skipped} skipped`)
  console.log(`${passed} passed, ${failed} failed`)
  return status === 0 && (failed > 0 || passed === 0) ? 1 : status
}

process.exitCode = await main()
