/** The promise API against the bare driver that sends the same statement, and against pgbench. */
import { randomUUID } from "node:crypto"
import { allocationCalls } from "../src/contract/allocationCalls.ts"
import { assert, type Bench } from "./database.ts"
import { makeAllocate, rateOf, type Contender } from "./floor.ts"
import { busyWhile, type Busy } from "./machine.ts"
import { callsPerSecond, inTurn, median, ratioOf } from "./measure.ts"
import { pgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, table, type Goal, type Section } from "./report.ts"

const percent = (part: number): string => `${Math.round(100 * part)} %`

/** What limits the rate of the library: the component that is busy all the time. */
const boundBy = (callers: number, busy: Busy): string => {
  if (busy.node > 0.85) return "Node's one thread"
  if (busy.machine > 0.85) return "the cores, which Node and the server share"
  return callers === 1 ? "the round trip and its flush to disk" : "flushes and locks of the server"
}

/** A client with as many connections as callers. */
interface Client {
  readonly call: () => Promise<unknown>
  readonly close: () => Promise<void>
}

const openLibrary = async (bench: Bench, callers: number): Promise<Client> => {
  const ipam = await bench.connected(callers, false)
  return { call: () => ipam.allocate({ pool: "wide", requestId: randomUUID() }), close: ipam.close }
}

/** The statement and the parameters that the library sends. */
const openBare = async (bench: Bench, callers: number): Promise<Client> => {
  const sql = bench.driver(callers)
  const { text, values } = allocationCalls.allocate
  const flags = { allowReserved: false, allowCooling: false, allowDraining: false }
  const request = { vrf: "default", pool: "wide", slot: "default", ...flags }
  return {
    call: () => sql.unsafe(text, [...values({ ...request, requestId: randomUUID() }, 0)], { prepare: true }),
    close: () => sql.end({ timeout: 1 }),
  }
}

/** The load of one measurement, with the processor time of this process a call, in microseconds. */
interface Load extends Busy {
  readonly perCall: number
}

const compare = async (bench: Bench, pool: Contender, callers: number) => {
  const { url, short } = bench
  const seconds = short ? 0.4 : 1
  const loads = { bare: [] as Array<Load>, library: [] as Array<Load> }
  // Only one client at a time: a server allows fewer connections by default than two clients of 64 need.
  const rate = async (
    open: (bench: Bench, callers: number) => Promise<Client>,
    measured: Array<Load>,
  ): Promise<number> => {
    const client = await open(bench, callers)
    // Connects, and prepares the statement on every connection, before the measurement.
    await Promise.all(Array.from({ length: callers * 6 }, client.call))
    const before = await pool.held()
    let made = 0
    const call = async () => {
      await client.call()
      made += 1
    }
    const [calls, load] = await busyWhile(() => callsPerSecond(callers, seconds, call))
    measured.push({ ...load, perCall: (load.node * 1e6) / calls })
    const held = (await pool.held()) - before
    assert(held === made, `${made} calls allocated ${held} addresses`)
    await client.close()
    return calls
  }
  const rates = await inTurn(short ? 1 : 7, {
    bare: () => rate(openBare, loads.bare),
    library: () => rate(openLibrary, loads.library),
    pgbench:
      pgbench === undefined
        ? async () => Number.NaN
        : () => rateOf(pool, { url, clients: callers, seconds: Math.ceil(seconds) }),
  })
  const perCall = (measured: ReadonlyArray<Load>) => measured.map((load) => load.perCall)
  return {
    rates,
    busy: {
      node: median(loads.library.map(({ node }) => node)),
      machine: median(loads.library.map(({ machine }) => machine)),
    },
    perCall: median(perCall(loads.library)),
    beyondBare: median(perCall(loads.library).map((one, round) => one - (perCall(loads.bare)[round] ?? Number.NaN))),
  }
}

export const library = async (bench: Bench): Promise<Section> => {
  const pool = await makeAllocate(bench)
  const rows: Array<Array<string | number>> = []
  const goals: Array<Goal> = []
  for (const callers of [1, 16, 64]) {
    const { rates, busy, perCall, beyondBare } = await compare(bench, pool, callers)
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
      perCall.toFixed(0),
      beyondBare.toFixed(0),
      percent(busy.node),
      percent(busy.machine),
      boundBy(callers, busy),
    ])
    goals.push({
      name: `promise API to the bare driver, ${callers === 1 ? "1 caller" : `${callers} callers`}`,
      figure: toBare,
      atLeast: 0.8,
    })
    goals.push({
      name: `promise API beyond the bare driver, microseconds of Node a call, ${callers === 1 ? "1 caller" : `${callers} callers`}`,
      figure: beyondBare,
      atMost: 20,
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
        "Node, us a call",
        "beyond postgres.js",
        "Node, of a core",
        "all cores",
        "bound by",
      ],
      rows,
    ),
    ...(pgbench === undefined ? [`The column of pgbench is empty: ${withoutPgbench}.`] : []),
  ]
  return { blocks, goals }
}
