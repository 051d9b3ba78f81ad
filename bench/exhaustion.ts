/** What an allocation costs as its pool fills from empty to full, and what the refusal past the end costs. */
import { randomUUID } from "node:crypto"
import { quantile, type Bench } from "./database.ts"

const call = "select outcome, address from ipam.allocate('default', $1, $2)"

export const exhaustion = async ({ ipam, sql, short }: Bench): Promise<void> => {
  const size = short ? 4096 : 65_536
  await ipam.createPool({ name: "filling", ranges: [`10.0.0.0/${short ? 20 : 16}`], includeNetworkAddresses: true })
  const taken = new Set<unknown>()
  const times: Array<number> = []
  const one = async (): Promise<unknown> => {
    const start = performance.now()
    const [row] = await sql.unsafe(call, ["filling", randomUUID()], { prepare: true })
    times.push(performance.now() - start)
    if (row?.["outcome"] === "allocated") taken.add(row["address"])
    return row?.["outcome"]
  }
  for (let warm = 0; warm < 200; warm += 1) await one()
  console.log("| held | p50 ms | p99 ms |\n|---|---|---|")
  const show = (held: string) =>
    console.log(`| ${held} | ${quantile(times, 0.5).toFixed(3)} | ${quantile(times, 0.99).toFixed(3)} |`)
  const medians: Array<number> = []
  const steps = 8
  for (let step = 1; step <= steps; step += 1) {
    times.length = 0
    while (taken.size < (size * step) / steps) await one()
    medians.push(quantile(times, 0.5))
    show(`${(100 * (step - 1)) / steps} to ${(100 * step) / steps} %`)
  }
  times.length = 0
  for (let past = 0; past < 300; past += 1) {
    if ((await one()) !== "exhausted") throw new Error("a full pool did not say so")
  }
  show("past the end (refused)")
  if (taken.size !== size) throw new Error(`${taken.size} addresses of ${size}`)
  const first = medians[0] ?? Number.NaN
  console.log(`last eighth to first: ${((medians.at(-1) ?? Number.NaN) / first).toFixed(2)} (to reach: at most 1.2)`)
  console.log(`refusal to allocation: ${(quantile(times, 0.5) / first).toFixed(2)} (to reach: at most 3)`)
}
