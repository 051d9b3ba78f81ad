/** Pools that one caller fills, call by call, until they refuse: what each part of the way costs. */
import { allocate, refused } from "./calls.ts"
import { assert, type Bench } from "./database.ts"
import { quantile } from "./measure.ts"

/** Of the calls made between these fills, both in percent; times in milliseconds. */
export interface Slice {
  readonly from: number
  readonly to: number
  readonly p50: number
  readonly p99: number
}

export interface Filling {
  /** Addresses of one pool. */
  readonly size: number
  /** A full pool. */
  readonly full: { readonly vrf: string; readonly pool: string }
  /** The way from empty to full in so many equal parts. */
  readonly slices: (parts: number) => ReadonlyArray<Slice>
  /** Of the calls past the end. */
  readonly refusal: Slice
}

const sliceOf = (from: number, to: number, times: ReadonlyArray<number>): Slice => ({
  from,
  to,
  p50: quantile(times, 0.5),
  p99: quantile(times, 0.99),
})

const fillOne = async ({ ipam, sql }: Bench, vrf: string, range: string, past: number) => {
  const place = { vrf, pool: "filling" }
  const pool = await ipam.createPool({ vrf, name: place.pool, ranges: [range], includeNetworkAddresses: true })
  const size = Number(pool.size)
  const addresses = new Set<string>()
  const times: Array<number> = []
  for (let call = 0; call < size; call += 1) {
    const { address, time } = await allocate(sql, place)
    addresses.add(address)
    times.push(time)
  }
  assert(addresses.size === size, `${addresses.size} addresses of ${size} were distinct`)
  const refusals: Array<number> = []
  for (let call = 0; call < past; call += 1) refusals.push(await refused(sql, place))
  return { place, size, times, refusals }
}

/** Fills so many pools of the range, each in a VRF of its own, one after the other, and tells of them together. */
export const fill = async (bench: Bench, range: string, pools: number): Promise<Filling> => {
  const first = await fillOne(bench, `bench ${range} 1`, range, Math.ceil(1000 / pools))
  const filled = [first]
  for (let pool = 2; pool <= pools; pool += 1) {
    filled.push(await fillOne(bench, `bench ${range} ${pool}`, range, Math.ceil(1000 / pools)))
  }
  const { size, place } = first
  return {
    size,
    full: place,
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
