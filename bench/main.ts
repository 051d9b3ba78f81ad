/**
 * `npm run bench [-- NAME ...] [--short] [--trace FILE]`: runs the named benchmarks, or all, and prints the measurements.
 * `npm run bench -- --against REF [--pairs N]`: compares this working copy with a commit instead.
 *
 * A full run of all benchmarks writes bench/results/. `--short` only shows that every benchmark works; its figures mean nothing. The
 * exit code is 1 if a result was wrong, 2 for invalid arguments, 130 after Ctrl-C. bench/README.md explains the figures.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { against } from "./against.ts"
import { contention, snapshot } from "./contention.ts"
import { onDatabase, removeAll, type Bench } from "./database.ts"
import { exhaustion } from "./exhaustion.ts"
import { floor } from "./floor.ts"
import { imports } from "./imports.ts"
import { library } from "./library.ts"
import { machineTable, serverFacts } from "./machine.ts"
import { goalTable, type Section } from "./report.ts"
import { sagas } from "./sagas.ts"
import { trace } from "./trace.ts"
import { versions } from "./versions.ts"
import { upkeep } from "./upkeep.ts"

const usage =
  "npm run bench [-- NAME ...] [--short] [--trace FILE], or npm run bench -- --against REF [--pairs N] [--short]"

const MIN_PAIRS = 15

const readArguments = () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      trace: { type: "string" },
      against: { type: "string" },
      pairs: { type: "string", default: String(MIN_PAIRS) },
    },
  })
  if (values.against !== undefined) {
    const pairs = Number(values.pairs)
    if (!(pairs >= MIN_PAIRS)) throw new Error(`--pairs must be ${MIN_PAIRS} or more`)
    if (positionals.length > 0) throw new Error("--against cannot be combined with the name of a benchmark")
    const bench: [string, (bench: Bench) => Promise<Section>] = [
      `against ${values.against}`,
      against(values.against, pairs),
    ]
    return { chosen: [bench], short: values.short, isFullRun: false }
  }
  const benches: Readonly<Record<string, (bench: Bench) => Promise<Section>>> = {
    exhaustion,
    floor,
    library,
    contention,
    snapshot,
    versions,
    sagas,
    upkeep,
    imports,
    trace: trace(values.trace ?? (process.env["SAGA_IPAM_TRACE"] || undefined)),
  }
  const unknown = positionals.find((name) => !Object.hasOwn(benches, name))
  if (unknown !== undefined)
    throw new Error(`unknown benchmark ${unknown}; the benchmarks are: ${Object.keys(benches).join(", ")}`)
  const chosen = Object.entries(benches).filter(([name]) => positionals.length === 0 || positionals.includes(name))
  return { chosen, short: values.short, isFullRun: positionals.length === 0 }
}

const results = join(import.meta.dirname, "results")

const run = async ({ chosen, short, isFullRun }: ReturnType<typeof readArguments>): Promise<void> => {
  const texts: Array<string> = []
  const sections: Array<Section> = []
  let server: Readonly<Record<string, string>> = {}
  for (const [name, bench] of chosen) {
    if (process.stderr.isTTY) process.stderr.write(`${name} ...\n`)
    const section = await onDatabase(short, async (database) => {
      server = await serverFacts(database)
      return bench(database)
    })
    sections.push(section)
    texts.push([`## ${name}`, ...section.blocks].join("\n\n"))
    console.log(`\n${texts.at(-1)}`)
  }
  const goals = sections.flatMap((section) => section.goals)
  if (short) console.log("\nEvery result was correct; the figures of a short run mean nothing.")
  else if (goals.length > 0) console.log(`\n${goalTable(goals)}`)
  if (short || !isFullRun) return
  const head =
    "# Results\n\nWritten by `npm run bench`; [the README](../README.md) explains each figure, and which must not be compared."
  await mkdir(results, { recursive: true })
  await writeFile(
    join(results, "results.md"),
    `${[head, machineTable(server), goalTable(goals), ...texts].join("\n\n")}\n`,
  )
  for (const [file, text] of sections.flatMap((section) => Object.entries(section.files ?? {}))) {
    await writeFile(join(results, file), text)
  }
}

let interrupted = false
const interrupt = (status: number) => async (): Promise<void> => {
  if (interrupted) return
  interrupted = true
  await removeAll().catch((error: unknown) => console.error(`bench: ${String(error)}`))
  process.exit(status)
}
process.on("SIGINT", () => void interrupt(130)())
process.on("SIGTERM", () => void interrupt(143)())

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const main = async (): Promise<number> => {
  let options
  try {
    options = readArguments()
  } catch (error) {
    console.error(`bench: ${messageOf(error)}\n${usage}`)
    return 2
  }
  try {
    await run(options)
    return 0
  } catch (error) {
    // After an interruption every call in progress fails, which need not be reported.
    if (!interrupted) console.error(`bench: ${messageOf(error)}`)
    return 1
  }
}

process.exitCode = await main()
