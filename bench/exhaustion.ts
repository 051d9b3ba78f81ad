/** The cost of an allocation as its pool fills up, of the refusal by a full pool, and of churn in an almost full one. */
import type { Bench } from "./database.ts"
import { fill, type Filling, type Slice } from "./fillPool.ts"
import { fillPlot } from "./fillPlot.ts"
import { churn, compare, refusalToAllocation } from "./filledPools.ts"
import { preload, type Preload, type PreloadedPool } from "./preload.ts"
import { grouped, ms, table, type Goal, type Section } from "./report.ts"

/** A pool filled to `percent`. Of the free addresses, up to 1 % of the pool are single ones between held addresses. */
export const filledTo = (range: string, bits: number, percent: number): Preload => {
  const size = 2 ** bits
  const free = Math.round(size * (1 - percent / 100))
  const name = `/${32 - bits} at ${percent} %`
  return { name, range, held: size - free, released: Math.min(free, Math.round(size / 100)) }
}

interface Plan {
  /** The range that one caller fills call by call. */
  readonly filling: string
  /** How many /24 pools are filled after it. */
  readonly smallPools: number
  readonly filled: ReadonlyArray<Preload>
}

const fullPlan: Plan = {
  filling: "10.0.0.0/16",
  smallPools: 20,
  filled: [
    ...[50, 90, 99, 99.9].map((percent) => filledTo("10.0.0.0/16", 16, percent)),
    filledTo("10.0.0.0/12", 20, 99.9),
    { name: "/8", range: "10.0.0.0/8", held: 2_000_000, released: 20_000 },
    { name: "IPv6 /64", range: "2001:db8::/64", held: 1_000_000, released: 10_000 },
  ],
}
const shortPlan: Plan = {
  filling: "10.0.0.0/22",
  smallPools: 2,
  filled: [
    ...[50, 99].map((percent) => filledTo("10.0.0.0/18", 14, percent)),
    { name: "/8", range: "10.0.0.0/8", held: 20_000, released: 200 },
    { name: "IPv6 /64", range: "2001:db8::/64", held: 20_000, released: 200 },
  ],
}

export const exhaustion = async (bench: Bench): Promise<Section> => {
  const plan = bench.short ? shortPlan : fullPlan
  const large = await fill(bench, plan.filling, 1)
  const small = await fill(bench, "10.0.0.0/24", plan.smallPools)
  const empty = await preload(bench, { name: "empty", range: "10.0.0.0/16", held: 0, released: 0 })
  const refusal = await refusalToAllocation(bench, large.full, empty)

  const goals: Array<Goal> = [{ name: "a refusal to an allocation, p50", figure: refusal, atMost: 3 }]
  const rows: Array<Array<string | number>> = []
  const pools: Array<PreloadedPool> = []
  for (const wanted of plan.filled) {
    const pool = await preload(bench, wanted)
    const { p50, p99, ratio } = await compare(bench, pool, empty)
    pools.push(pool)
    rows.push([`${pool.pool}: ${held(pool)}`, grouped(pool.released), ms(p50), ms(p99), ratio.toFixed(2)])
    const name = `allocate in ${pool.pool}, ${grouped(pool.held)} held, to an empty pool, p50`
    goals.push({ name, figure: ratio, atMost: 1.2 })
  }

  const [calm] = pools
  const almostFull = pools.findLast((pool) => pool.size === calm?.size)
  if (calm === undefined || almostFull === undefined)
    throw new Error("a plan must have two pools of one size, at different fills")
  const churned: Array<Array<string | number>> = []
  for (const callers of [1, 8]) {
    const rates = await churn(bench, calm, almostFull, callers)
    churned.push([callers, grouped(rates.calm), grouped(rates.almostFull), rates.ratio.toFixed(2)])
  }
  return {
    blocks: [
      ...(bench.short ? [] : ["![p50 and p99 of an allocation against the fill of its pool](exhaustion.svg)"]),
      fillTable(plan.filling, large),
      fillTable(`${plan.smallPools} pools of a /24`, small),
      table(["preloaded pool", "holes of one address", "p50 ms", "p99 ms", "p50 to an empty /16"], rows),
      table(
        ["callers who release and allocate", `${calm.pool}, pairs /s`, `${almostFull.pool}, pairs /s`, "ratio"],
        churned,
      ),
    ],
    goals,
    files: {
      "exhaustion.svg": fillPlot(`One allocate, as ${plan.filling} fills up`, large.slices(50), large.refusal),
    },
  }
}

const held = ({ held, size }: { readonly held: number; readonly size: bigint }): string =>
  `${grouped(held)} held of ${size > 2n ** 53n ? `2^${size.toString(2).length - 1}` : size.toLocaleString("en-US")}`

const fillTable = (name: string, filling: Filling): string => {
  const row = (name: string, { p50, p99 }: Slice) => [name, ms(p50), ms(p99)]
  return table(
    [`${name}, ${grouped(filling.size)} addresses: held`, "p50 ms", "p99 ms"],
    [
      ...filling.slices(10).map((slice) => row(`${slice.from} to ${slice.to} %`, slice)),
      row("full: refused", filling.refusal),
    ],
  )
}
