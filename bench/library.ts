/** The promise API against the bare driver that makes the same call, and against pgbench. */
import { randomUUID } from "node:crypto"
import { allocate } from "../src/allocator/statements.ts"
import type { Ipam } from "../src/promise.ts"
import { assert, type Bench } from "./database.ts"
import { makeOurs, rateOf, type Contender } from "./floor.ts"
import { busyWhile, type Busy } from "./machine.ts"
import { callsPerSecond, inTurn, median, ratioOf } from "./measure.ts"
import { pgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, table, type Goal, type Section } from "./report.ts"

const percent = (part: number): string => `${Math.round(100 * part)} %`

/** What keeps the library from being faster: whoever is busy all the time. */
const boundBy = (callers: number, busy: Busy): string => {
  if (busy.node > 0.85) return "Node's one thread"
  if (busy.machine > 0.85) return "the cores, which Node and the server share"
  return callers === 1 ? "the round trip and its flush to disk" : "flushes and locks of the server"
}

const compare = async (bench: Bench, pool: Contender, callers: number) => {
  const { url, short } = bench
  const seconds = short ? 0.4 : 1.5
  const sql = bench.driver(callers)
  const ipam: Ipam = await bench.connected(callers)
  const count = async (call: () => Promise<unknown>): Promise<number> => {
    let made = 0
    const before = await pool.held()
    const rate = await callsPerSecond(callers, seconds, () => call().then(() => (made += 1)))
    const held = (await pool.held()) - before
    assert(held === made, `${made} calls allocated ${held} addresses`)
    return rate
  }
  const library = () => ipam.allocate({ pool: "wide", requestId: randomUUID() })
  // The statement and the parameters that the library sends.
  const rest = ["default", null, null, null, null, false, false]
  const bare = () => sql.unsafe(allocate.text, ["default", "wide", randomUUID(), ...rest], { prepare: true })
  // Every connection is open and has prepared the statement before anything counts.
  await Promise.all(Array.from({ length: callers * 4 }, library))
  await Promise.all(Array.from({ length: callers * 4 }, bare))
  const busy: Array<Busy> = []
  const rates = await inTurn(short ? 1 : 7, {
    bare: () => count(bare),
    library: async () => {
      const [rate, busyThen] = await busyWhile(() => count(library))
      busy.push(busyThen)
      return rate
    },
    pgbench:
      pgbench === undefined
        ? async () => Number.NaN
        : () => rateOf(pool, { url, clients: callers, seconds: Math.ceil(seconds) }),
  })
  await ipam.close()
  await sql.end({ timeout: 1 })
  return {
    rates,
    busy: { node: median(busy.map(({ node }) => node)), machine: median(busy.map(({ machine }) => machine)) },
  }
}

export const library = async (bench: Bench): Promise<Section> => {
  const pool = await makeOurs(bench)
  const rows: Array<Array<string | number>> = []
  const goals: Array<Goal> = []
  for (const callers of [1, 16, 64]) {
    const { rates, busy } = await compare(bench, pool, callers)
    const toBare = ratioOf(rates.library, rates.bare)
    const toPgbench = ratioOf(rates.library, rates.pgbench)
    const shown = [rates.library, rates.bare, rates.pgbench].map((one) =>
      pgbench === undefined && one === rates.pgbench ? "-" : grouped(median(one)),
    )
    rows.push([
      callers,
      ...shown,
      toBare.toFixed(2),
      pgbench === undefined ? "-" : toPgbench.toFixed(2),
      percent(busy.node),
      percent(busy.machine),
      boundBy(callers, busy),
    ])
    goals.push({
      what: `promise API to the bare driver, ${callers === 1 ? "1 caller" : `${callers} callers`}`,
      figure: toBare,
      atLeast: 0.8,
    })
  }
  const blocks = [
    table(
      [
        "callers",
        "library /s",
        "postgres.js /s",
        "pgbench /s",
        "to postgres.js",
        "to pgbench",
        "Node, of a core",
        "all cores",
        "bound by",
      ],
      rows,
    ),
    ...(pgbench === undefined ? [`Without the column of pgbench: ${withoutPgbench}.`] : []),
  ]
  return { blocks, goals }
}
