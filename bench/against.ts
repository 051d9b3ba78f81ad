/**
 * Compares this working copy with another commit in one run: two databases on one server, measured alternately, in reversed order
 * from pair to pair. Reports the median of the ratios with its confidence interval.
 */
import { execFileSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type postgres from "postgres"
import { assert, openDatabase, openDriver, type Bench } from "./database.ts"
import { inTurn, median, medianInterval } from "./measure.ts"
import { pgbench, runPgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, leftOut, table, type Section } from "./report.ts"

/** One side of the comparison: a migrated database. */
interface Side {
  readonly url: string
  readonly sql: postgres.Sql
}

/** One measurement of the comparison. */
interface Workload {
  readonly name: string
  readonly prepare: (side: Side) => Promise<unknown>
  /** Runs for so many seconds and returns the rate per second. Rejects if a result was wrong. */
  readonly rate: (side: Side, seconds: number) => Promise<number>
}

const allocateAndRelease = (clients: number): Workload => {
  const pool = `clients-${clients}`
  // A random UUID of version 4, made in the statement of the call: a separate statement would be measured too.
  const key = "overlay(md5(:n::text) placing '4' from 13 for 1)::uuid"
  const script = `\\set n random(1, 9000000000000000000)
select * from ipam.allocate('default', '${pool}', ${key});
select * from ipam.release('default', ${key});
`
  return {
    name: `allocate and release, ${clients === 1 ? "1 client" : `${clients} clients`}`,
    prepare: ({ sql }) => sql.unsafe(`select ipam.create_pool('default', '${pool}', array['10.${clients}.0.0/16'])`),
    rate: async ({ url, sql }, seconds) => {
      const released = async () =>
        Number((await sql.unsafe("select count(*) as n from ipam.allocation where released_at is not null"))[0]?.["n"])
      const before = await released()
      const { rate, transactions } = await runPgbench({ url, script, clients, seconds })
      const made = (await released()) - before
      assert(made === transactions, `${transactions} transactions released ${made} addresses`)
      return rate
    },
  }
}

const workloads: ReadonlyArray<Workload> = [allocateAndRelease(1), allocateAndRelease(8)]

/** The benchmark that compares with a commit, branch or tag, in so many pairs of runs. */
export const against =
  (ref: string, pairs: number) =>
  async (bench: Bench): Promise<Section> => {
    if (pgbench === undefined) return leftOut(withoutPgbench)
    const here = join(import.meta.dirname, "..")
    const there = await mkdtemp(join(tmpdir(), "saga-ipam-against-"))
    try {
      extractCommit(ref, here, there)
      const theirs = await openDatabase({
        purpose: "against",
        url: bench.url,
        durable: true,
        sqlFolder: `${there}/sql/`,
      })
      const sql = openDriver(theirs.url, 1)
      try {
        const sides = {
          ours: { url: bench.url, sql: bench.sql },
          theirs: { url: theirs.url, sql },
        }
        return await compare(ref, sides, bench.short ? 1 : pairs, bench.short ? 1 : 2)
      } finally {
        await sql.end({ timeout: 1 })
        await theirs.remove()
      }
    } finally {
      await rm(there, { recursive: true, force: true })
    }
  }

/** Extracts the files of a commit into a folder, without creating a git work tree. */
const extractCommit = (ref: string, repository: string, folder: string): void => {
  const files = execFileSync("git", ["archive", "--format=tar", ref], { cwd: repository, maxBuffer: 2 ** 30 })
  execFileSync("tar", ["-x", "-C", folder], { input: files })
  // In older commits, each function has its settings in its own file.
  const settings = join(folder, "sql", "settings.sql")
  if (!existsSync(settings)) writeFileSync(settings, "")
}

const compare = async (
  ref: string,
  { ours, theirs }: { readonly ours: Side; readonly theirs: Side },
  pairs: number,
  seconds: number,
): Promise<Section> => {
  const lines: Array<Array<string | number>> = []
  for (const workload of workloads) {
    for (const side of [ours, theirs]) {
      await workload.prepare(side)
      await workload.rate(side, 1)
    }
    const rates = await inTurn(pairs, {
      theirs: () => workload.rate(theirs, seconds),
      ours: () => workload.rate(ours, seconds),
    })
    const ratios = rates.ours.map((rate, pair) => rate / (rates.theirs[pair] ?? Number.NaN))
    const [low, high] = medianInterval(ratios)
    lines.push([
      workload.name,
      grouped(median(rates.theirs)),
      grouped(median(rates.ours)),
      median(ratios).toFixed(3),
      `${low.toFixed(3)} to ${high.toFixed(3)}`,
    ])
  }
  const findings = await theirs.sql.unsafe("select * from ipam.doctor()")
  assert(findings.length === 0, `the doctor of ${ref} found ${JSON.stringify(findings.slice(0, 3))}`)
  return {
    blocks: [
      `${pairs} pairs of ${seconds} s each. The ratio is the rate of this working copy to that of ${ref}: below 1, this one is slower.`,
      table(["", `${ref} /s`, "this copy /s", "ratio", "95 %"], lines),
    ],
    goals: [],
  }
}
