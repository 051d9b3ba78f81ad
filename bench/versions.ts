/**
 * Single calls on Debian's PostgreSQL 15, which has a JIT, against the server of the other benchmarks, which has none: a planner option
 * without `jit = off` would have PostgreSQL 15 compile the statement at every call.
 */
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import type postgres from "postgres"
import { openScratchDatabase } from "../src/database/scratchDatabase.ts"
import { openDriver, type Bench } from "./database.ts"
import { inTurn, median, ratioOf, timed } from "./measure.ts"
import { leftOut, ms, table, type Goal, type Section } from "./report.ts"

const debian15 = "/usr/lib/postgresql/15/bin"

/** The calls, in this order, each on the keys that the first one has allocated. */
const calls: Readonly<Record<string, string>> = {
  allocate: "ipam.allocate('default', 'versions', $1, ttl_seconds => 600)",
  extend: "ipam.extend('default', $1, 'default', 60)",
  confirm: "ipam.confirm('default', $1)",
  prune: "ipam.prune_keys(90 * 86400) where $1 <> ''",
  reclaim: "ipam.reclaim_expired() where $1 <> ''",
  release: "ipam.release('default', $1)",
}

const versionOf = async (side: postgres.Sql): Promise<string> => {
  const [row] = await side.unsafe("select split_part(current_setting('server_version'), ' ', 1) as version")
  return `${String(row?.["version"])}, ms`
}

export const versions = async (bench: Bench): Promise<Section> => {
  if (!existsSync(join(debian15, "postgres"))) return leftOut("Debian's PostgreSQL 15 is not installed")
  const server = await openScratchDatabase({ purpose: "versions", url: undefined, durable: true, binaries: debian15 })
  const sql = openDriver(server.url, 1)
  try {
    const sides = { older: sql, newer: bench.sql }
    for (const side of Object.values(sides))
      await side.unsafe("select ipam.create_pool('default', 'versions', array['10.128.0.0/9'])")
    const times: { readonly [Side in keyof typeof sides]: Record<string, Array<number>> } = { older: {}, newer: {} }
    /** Makes all calls on new keys, and notes their times. The figure for `inTurn` is not used. */
    const round = (side: keyof typeof sides) => async () => {
      const keys = Array.from({ length: bench.short ? 5 : 40 }, () => randomUUID())
      for (const [name, call] of Object.entries(calls)) {
        const callTimes: Array<number> = []
        for (const key of keys)
          callTimes.push(await timed(() => sides[side].unsafe(`select * from ${call}`, [key], { prepare: true })))
        const known = times[side][name] ?? []
        times[side][name] = [...known, median(callTimes)]
      }
      return 0
    }
    await inTurn(bench.short ? 1 : 15, { older: round("older"), newer: round("newer") })
    const figures = Object.keys(calls).map((name) => {
      const [older, newer] = [times.older[name] ?? [], times.newer[name] ?? []]
      return { name, older: median(older), newer: median(newer), ratio: ratioOf(older, newer) }
    })
    const rows = figures.map(({ name, older, newer, ratio }) => [name, ms(older), ms(newer), ratio.toFixed(2)])
    const goals = figures.map(({ name, ratio }): Goal => ({ name: `${name} on 15`, figure: ratio, atMost: 1.5 }))
    return { blocks: [table(["call", ...(await Promise.all([sql, bench.sql].map(versionOf))), "ratio"], rows)], goals }
  } finally {
    await sql.end({ timeout: 1 })
    await server.remove()
  }
}
