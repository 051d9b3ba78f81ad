/** How many connections a client should have: 64 callers of one process, who share so many. */
import { randomUUID } from "node:crypto"
import { assert, type Bench } from "./database.ts"
import { callsPerSecond, inTurn, median, ratioOf } from "./measure.ts"
import { makeAllocate } from "./floor.ts"
import { grouped, table, type Section } from "./report.ts"

const CALLERS = 64

export const connections = async (bench: Bench): Promise<Section> => {
  const pool = await makeAllocate(bench)
  // As many as a client has by default.
  const usual = 10
  const counts = [2, 5, usual, 20, 64]
  const rate = (count: number) => async () => {
    const ipam = await bench.connected(count, false)
    const before = await pool.held()
    let made = 0
    const call = async () => {
      await ipam.allocate({ pool: "wide", requestId: randomUUID() })
      made += 1
    }
    // Connects, and prepares the statement on every connection.
    await Promise.all(Array.from({ length: CALLERS }, call))
    const calls = await callsPerSecond(CALLERS, bench.short ? 0.3 : 2, call)
    await ipam.close()
    const held = (await pool.held()) - before
    assert(held === made, `${made} calls allocated ${held} addresses`)
    return calls
  }
  const rates = await inTurn(
    bench.short ? 1 : 7,
    Object.fromEntries(counts.map((count) => [String(count), rate(count)])),
  )
  return {
    blocks: [
      table(
        ["connections", `${CALLERS} callers, allocations /s`, `to ${usual}`],
        counts.map((count) => [
          count,
          grouped(median(rates[count] ?? [])),
          ratioOf(rates[count] ?? [], rates[usual] ?? []).toFixed(2),
        ]),
      ),
    ],
    goals: [],
  }
}
