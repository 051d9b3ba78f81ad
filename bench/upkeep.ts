/** The cost of maintenance: the doctor over many pools and many allocations, and merging of extents beside allocations. */
import { randomUUID } from "node:crypto"
import type { Bench } from "./database.ts"
import { quantile, timed } from "./measure.ts"
import { preload } from "./preload.ts"
import { grouped, ms, table, type Section } from "./report.ts"

/** The time of the doctor, in milliseconds, with warm caches. */
const timeDoctor = async (bench: Bench): Promise<number> => {
  await bench.ipam.doctor()
  return timed(bench.ipam.doctor)
}

export const upkeep = async (bench: Bench): Promise<Section> => {
  const { ipam, connected, short } = bench
  const plan = short
    ? { pools: [5, 10], held: 1000, fragmented: 5, fragments: 200 }
    : { pools: [100, 200, 400], held: 1_000_000, fragmented: 200, fragments: 512 }

  const rows: Array<ReadonlyArray<string>> = []
  let created = 0
  let seconds = 0
  for (const pools of plan.pools) {
    for (; created < pools; created += 1) {
      await preload(bench, { name: `small ${created}`, range: "10.0.0.0/22", held: 512, released: 64 })
    }
    seconds = (await timeDoctor(bench)) / 1000
    rows.push([`${pools} pools of 1,024, half of each held`, seconds.toFixed(2)])
  }
  const ofPools = seconds
  await preload(bench, { name: "large", range: "10.0.0.0/11", held: plan.held, released: plan.held / 100 })
  const ofAllocations = (await timeDoctor(bench)) / 1000
  rows.push([`the same, and ${grouped(plan.held)} allocations`, ofAllocations.toFixed(2)])

  for (let pool = 0; pool < plan.fragmented; pool += 1) {
    await preload(bench, { name: `fragmented ${pool}`, range: "10.0.0.0/16", held: 1, released: plan.fragments })
  }
  const other = await connected(2)
  const times: Array<number> = []
  let merged = false
  const allocating = (async () => {
    for (let call = 0; !merged; call += 1) {
      const key = { vrf: `bench fragmented ${call % plan.fragmented}`, requestId: randomUUID() }
      times.push(await timed(() => other.allocate({ ...key, pool: `fragmented ${call % plan.fragmented}` })))
      await other.release(key)
    }
  })()
  const first = await timed(ipam.reclaimExpired)
  const second = await timed(ipam.reclaimExpired)
  merged = true
  await allocating
  return {
    blocks: [
      table(["doctor", "s"], rows),
      table(
        [
          "pools",
          "extents of each",
          "first round ms",
          "second round ms",
          "allocations meanwhile",
          "p99 ms",
          "slowest ms",
        ],
        [
          [
            grouped(plan.fragmented),
            grouped(plan.fragments),
            ms(first),
            ms(second),
            grouped(times.length),
            ms(quantile(times, 0.99)),
            ms(Math.max(...times)),
          ],
        ],
      ),
    ],
    goals: [
      { name: "the doctor on 400 pools of 1,024, seconds", figure: ofPools, atMost: 3 },
      { name: "the doctor on 1,000,000 allocations, seconds", figure: ofAllocations, atMost: 20 },
    ],
  }
}
