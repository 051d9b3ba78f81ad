/**
 * This working copy against another commit, in one run: both on databases of their own on one server, each pair of runs in turn,
 * the order turned around from pair to pair. What is told is the median of the ratios with its interval.
 */
import { execFileSync } from "node:child_process"
import { existsSync, writeFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type postgres from "postgres"
import { openScratchDatabase } from "../src/database/scratchDatabase.ts"
import { assert, openDriver, type Bench } from "./database.ts"
import { inTurn, median, medianInterval } from "./measure.ts"
import { pgbench, runPgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, leftOut, table, type Section } from "./report.ts"

/** One of the two: a migrated database, and the folder of the code that goes with it. */
interface Side {
  readonly url: string
  readonly sql: postgres.Sql
  readonly root: string
}

/** What is compared: something that can be done on either side, as often as it can. */
interface Row {
  readonly what: string
  readonly prepare: (side: Side) => Promise<unknown>
  /** How often a second, in one run of so many seconds. Rejects when a result was wrong. */
  readonly rate: (side: Side, seconds: number) => Promise<number>
}

const allocateAndRelease = (clients: number): Row => {
  const pool = `clients-${clients}`
  // A UUID of version 4, at random, in one statement with the call, since a statement of its own would be measured too.
  const key = "overlay(md5(:n::text) placing '4' from 13 for 1)::uuid"
  const script = `\\set n random(1, 9000000000000000000)
select * from ipam.allocate('default', '${pool}', ${key});
select * from ipam.release('default', ${key});
`
  return {
    what: `allocate and release, ${clients === 1 ? "1 client" : `${clients} clients`}`,
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

const rows: ReadonlyArray<Row> = [allocateAndRelease(1), allocateAndRelease(8)]

/** The bench that compares with this commit, branch or tag, in at least 15 pairs of runs. */
export const against =
  (ref: string, pairs: number) =>
  async (bench: Bench): Promise<Section> => {
    if (pgbench === undefined) return leftOut(withoutPgbench)
    const here = join(import.meta.dirname, "..")
    const there = await mkdtemp(join(tmpdir(), "saga-ipam-against-"))
    try {
      extract(ref, here, there)
      const theirs = await openScratchDatabase({
        purpose: "against",
        url: bench.url,
        durable: true,
        sqlFolder: `${there}/sql/`,
      })
      const sql = openDriver(theirs.url, 1)
      try {
        const sides = {
          ours: { url: bench.url, sql: bench.sql, root: here },
          theirs: { url: theirs.url, sql, root: there },
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

/** The files of a commit, without a work tree that git would have to be told of again. */
const extract = (ref: string, repository: string, folder: string): void => {
  const files = execFileSync("git", ["archive", "--format=tar", ref], { cwd: repository, maxBuffer: 2 ** 30 })
  execFileSync("tar", ["-x", "-C", folder], { input: files })
  // Before there was this file, each function had its settings in its own.
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
  for (const row of rows) {
    for (const side of [ours, theirs]) {
      await row.prepare(side)
      await row.rate(side, 1)
    }
    const rates = await inTurn(pairs, {
      theirs: () => row.rate(theirs, seconds),
      ours: () => row.rate(ours, seconds),
    })
    const ratios = rates.ours.map((rate, pair) => rate / (rates.theirs[pair] ?? Number.NaN))
    const [low, high] = medianInterval(ratios)
    lines.push([
      row.what,
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
      `${pairs} pairs of ${seconds} s each. The ratio is that of our rate to theirs: below 1, we are slower.`,
      table(["", `${ref} /s`, "here /s", "ratio", "95 %"], lines),
    ],
    goals: [],
  }
}
