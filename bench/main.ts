/**
 * `npm run bench [-- NAME ...] [--short] [--trace FILE]`: runs the named benchmarks, or all, and prints the measurements.
 * `npm run bench -- --against REF [--pairs N]`: compares this working copy with a commit instead.
 * `npm run bench -- --size N`: runs the benchmark `size` alone, up to N allocations.
 * `npm run bench -- --peers`: compares this working copy with the ways of others to allocate an address instead.
 *
 * A full run of all benchmarks writes bench/results/, as `--size` and `--peers` do. `--short` only shows that every benchmark works; its figures mean nothing. The
 * exit code is 1 if a result was wrong, 2 for invalid arguments, 130 after Ctrl-C. bench/README.md explains the figures.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { against } from "./against.ts"
import { batches } from "./batches.ts"
import { connections } from "./connections.ts"
import { contention, snapshot } from "./contention.ts"
import { onDatabase, removeAll, type Bench } from "./database.ts"
import { exhaustion } from "./exhaustion.ts"
import { floor } from "./floor.ts"
import { imports } from "./imports.ts"
import { library } from "./library.ts"
import { machineTable, serverFacts } from "./machine.ts"
import { peers } from "./peers/peers.ts"
import { goalTable, type Section } from "./report.ts"
import { sagas } from "./sagas.ts"
import { size } from "./size.ts"
import { trace } from "./trace.ts"
import { versions } from "./versions.ts"
import { upkeep } from "./upkeep.ts"

const usage =
  "npm run bench [-- NAME ...] [--short] [--trace FILE], npm run bench -- --against REF [--pairs N] [--short], " +
  "npm run bench -- --size N, or npm run bench -- --peers [--short]"

const MIN_PAIRS = 15
const MIN_SIZE = 100_000

type Run = (bench: Bench) => Promise<Section>

const readArguments = () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      trace: { type: "string" },
      against: { type: "string" },
      pairs: { type: "string", default: String(MIN_PAIRS) },
      size: { type: "string" },
      peers: { type: "boolean", default: false },
    },
  })
  /** A benchmark that an option asks for, and that runs without any other. */
  const alone = (option: string, name: string, bench: Run, resultsFile?: string) => {
    if (positionals.length > 0) throw new Error(`--${option} cannot be combined with the name of a benchmark`)
    return { chosen: [[name, bench]] as const, short: values.short, resultsFile }
  }
  if (values.against !== undefined) {
    const pairs = Number(values.pairs)
    if (!(pairs >= MIN_PAIRS)) throw new Error(`--pairs must be ${MIN_PAIRS} or more`)
    return alone("against", `against ${values.against}`, against(values.against, pairs))
  }
  if (values.size !== undefined) {
    const allocations = Number(values.size)
    if (!(Number.isSafeInteger(allocations) && allocations >= MIN_SIZE))
      throw new Error(`--size must be a number of allocations, ${MIN_SIZE} or more`)
    return alone("size", "size", size(allocations), "size.md")
  }
  if (values.peers) return alone("peers", "peers", peers, "peers.md")
  const benches: Readonly<Record<string, Run>> = {
    exhaustion,
    floor,
    library,
    batches,
    connections,
    contention,
    snapshot,
    versions,
    sagas,
    upkeep,
    size: size(undefined),
    imports,
    trace: trace(values.trace ?? (process.env["SAGA_IPAM_TRACE"] || undefined)),
  }
  const unknown = positionals.find((name) => !Object.hasOwn(benches, name))
  if (unknown !== undefined)
    throw new Error(`unknown benchmark ${unknown}; the benchmarks are: ${Object.keys(benches).join(", ")}`)
  const chosen = Object.entries(benches).filter(([name]) => positionals.length === 0 || positionals.includes(name))
  return { chosen, short: values.short, resultsFile: positionals.length === 0 ? "results.md" : undefined }
}

const results = join(import.meta.dirname, "results")

const run = async ({ chosen, short, resultsFile }: ReturnType<typeof readArguments>): Promise<void> => {
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
  if (short || resultsFile === undefined) return
  const head =
    "# Results\n\nWritten by `npm run bench`; [the README](../README.md) explains each figure, and which must not be compared."
  await mkdir(results, { recursive: true })
  await writeFile(
    join(results, resultsFile),
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
