/** Fills pools with one caller, call by call, until they refuse, and reports the times by how full the pool was. */
import { allocate, timeRefusal } from "./timedCalls.ts"
import { assert, type Bench } from "./database.ts"
import { quantile } from "./measure.ts"

/** The times, in milliseconds, of the calls made while the pool was filled from `from` to `to` percent. */
export interface Slice {
  readonly from: number
  readonly to: number
  readonly p50: number
  readonly p99: number
}

export interface Filling {
  /** The number of addresses of one pool. */
  readonly size: number
  /** One of the pools, which is full now. */
  readonly full: { readonly vrf: string; readonly pool: string }
  /** The times from empty to full, in so many equal parts. */
  readonly slices: (parts: number) => ReadonlyArray<Slice>
  /** The times of the refused calls. */
  readonly refusal: Slice
}

const sliceOf = (from: number, to: number, times: ReadonlyArray<number>): Slice => ({
  from,
  to,
  p50: quantile(times, 0.5),
  p99: quantile(times, 0.99),
})

const fillOne = async ({ ipam, sql }: Bench, vrf: string, range: string, refusedCalls: number) => {
  const target = { vrf, pool: "filling" }
  const pool = await ipam.createPool({ vrf, name: target.pool, ranges: [range], includeNetworkAddresses: true })
  const size = Number(pool.size)
  const addresses = new Set<string>()
  const times: Array<number> = []
  for (let call = 0; call < size; call += 1) {
    const { address, time } = await allocate(sql, target)
    addresses.add(address)
    times.push(time)
  }
  assert(addresses.size === size, `${addresses.size} addresses of ${size} were distinct`)
  const refusals: Array<number> = []
  for (let call = 0; call < refusedCalls; call += 1) refusals.push(await timeRefusal(sql, target))
  return { target, size, times, refusals }
}

/** Fills so many pools with this range, each in its own VRF, one after another, and reports on them together. */
export const fill = async (bench: Bench, range: string, pools: number): Promise<Filling> => {
  const first = await fillOne(bench, `bench ${range} 1`, range, Math.ceil(1000 / pools))
  const filled = [first]
  for (let pool = 2; pool <= pools; pool += 1) {
    filled.push(await fillOne(bench, `bench ${range} ${pool}`, range, Math.ceil(1000 / pools)))
  }
  const { size, target } = first
  return {
    size,
    full: target,
    slices: (parts) =>
      Array.from({ length: parts }, (_, part) => {
        const [from, to] = [part, part + 1].map((edge) => edge / parts) as [number, number]
        const times = filled.flatMap((one) => one.times.slice(Math.round(size * from), Math.round(size * to)))
        return sliceOf(100 * from, 100 * to, times)
      }),
    refusal: sliceOf(
      100,
      100,
      filled.flatMap((one) => one.refusals),
    ),
  }
}
