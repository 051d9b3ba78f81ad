/**
 * Calls of one process that travel together against the same calls one by one, on ten connections; and beside them the floor of
 * bench/floor.ts under pgbench with sixteen clients.
 */
import { randomUUID } from "node:crypto"
import type { Ipam } from "../src/promise.ts"
import { assert, type Bench } from "./database.ts"
import { makeAllocate, makeFloor, rateOf, type Contender } from "./floor.ts"
import { inTurn, median, quantile, ratioOf } from "./measure.ts"
import { pgbench, withoutPgbench } from "./pgbench.ts"
import { grouped, table, type Goal, type Section } from "./report.ts"

const CONNECTIONS = 10
const FLOOR_CLIENTS = 16

/** What callers do, one call after another, so many in all. */
interface Workload {
  readonly name: string
  /** Makes keys that are to be released, and returns them. */
  readonly prepare: (ipam: Ipam, calls: number) => Promise<ReadonlyArray<string>>
  readonly call: (ipam: Ipam, requestId: string) => Promise<unknown>
  /** By how many each call changes the number of addresses held. */
  readonly change: number
}

const allocate = (ipam: Ipam, requestId: string) => ipam.allocate({ pool: "wide", requestId })

const keys = (calls: number) => Array.from({ length: calls }, () => randomUUID())

const workloads: ReadonlyArray<Workload> = [
  { name: "allocate", prepare: async (_, calls) => keys(calls), call: allocate, change: 1 },
  {
    name: "release",
    prepare: async (ipam, calls) => {
      const held = keys(calls)
      await Promise.all(held.map((requestId) => allocate(ipam, requestId)))
      return held
    },
    call: (ipam, requestId) => ipam.release({ requestId }),
    change: -1,
  },
]

/** So many callers, and the ratio of their rate together to that one by one that is the goal. */
const goalOfCallers = [
  [1, 0.97],
  [16, 3],
  [64, 7],
] as const

const compare = async (bench: Bench, pool: Contender, workload: Workload, callers: number) => {
  const clients = { together: await bench.connected(CONNECTIONS), alone: await bench.connected(CONNECTIONS, false) }
  const times = { together: [] as Array<number>, alone: [] as Array<number> }
  const rate = async (name: keyof typeof clients, calls: number): Promise<number> => {
    const ipam = clients[name]
    const requestIds = await workload.prepare(clients.together, calls)
    const before = await pool.held()
    const queue = requestIds.values()
    const start = performance.now()
    await Promise.all(
      Array.from({ length: callers }, async () => {
        for (const requestId of queue) {
          const sent = performance.now()
          await workload.call(ipam, requestId)
          times[name].push(performance.now() - sent)
        }
      }),
    )
    const seconds = (performance.now() - start) / 1000
    const changed = (await pool.held()) - before
    assert(changed === calls * workload.change, `${calls} calls of ${workload.name} changed ${changed} addresses`)
    return calls / seconds
  }
  const calls = bench.short ? callers * 2 : callers === 1 ? 150 : callers * 40
  // Connects, and prepares the statements on every connection.
  for (const name of ["alone", "together"] as const) await rate(name, callers * 20)
  times.together.length = 0
  times.alone.length = 0
  const rates = await inTurn(bench.short ? 1 : 7, {
    alone: () => rate("alone", calls),
    together: () => rate("together", calls),
  })
  await Promise.all([clients.together.close(), clients.alone.close()])
  return { rates, times }
}

export const batches = async (bench: Bench): Promise<Section> => {
  const { sql, url, short } = bench
  const pool = await makeAllocate(bench)
  const rows: Array<Array<string | number>> = []
  const goals: Array<Goal> = []
  for (const workload of workloads) {
    for (const [callers, atLeast] of goalOfCallers) {
      const { rates, times } = await compare(bench, pool, workload, callers)
      const ratio = ratioOf(rates.together, rates.alone)
      rows.push([
        workload.name,
        callers,
        grouped(median(rates.alone)),
        grouped(median(rates.together)),
        ratio.toFixed(2),
        quantile(times.alone, 0.99).toFixed(1),
        quantile(times.together, 0.99).toFixed(1),
      ])
      const who = callers === 1 ? "1 caller" : `${callers} callers`
      goals.push({ name: `${workload.name}, together to one by one, ${who}`, figure: ratio, atLeast })
    }
  }
  const floor = await makeFloor(sql)
  const blocks = [
    table(["", "callers", "one by one /s", "together /s", "ratio", "p99 ms, one by one", "p99 ms, together"], rows),
    pgbench === undefined
      ? `The floor is left out: ${withoutPgbench}.`
      : `The floor under pgbench, ${FLOOR_CLIENTS} clients: ${grouped(await rateOf(floor, { url, clients: FLOOR_CLIENTS, seconds: short ? 1 : 5 }))} /s.`,
  ]
  return { blocks, goals }
}
