/** Pools at a set fill, each measured in turn with an empty one: what their fill, size and fragments cost. */
import { allocate, refused, release } from "./calls.ts"
import type { Bench } from "./database.ts"
import { callsPerSecond, inTurn, median, quantile, ratioOf } from "./measure.ts"
import type { PreloadedPool } from "./preload.ts"

/** How many calls are made on one pool before it is the other's turn. */
const BATCH = 50

interface Compared {
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Its p50 to that of the empty pool, a batch against a batch. */
  readonly ratio: number
}

/** Takes a random one out. */
const drawn = (keys: Array<string>): string => {
  const place = Math.floor(Math.random() * keys.length)
  const key = keys[place] ?? ""
  keys[place] = keys.at(-1) ?? ""
  keys.pop()
  return key
}

const repeated = async <A>(times: number, call: () => Promise<A>): Promise<Array<A>> => {
  const answers: Array<A> = []
  for (let done = 0; done < times; done += 1) answers.push(await call())
  return answers
}

/** Nothing is released on the empty pool, so every call is on ground that nobody has used. */
const onEmpty =
  ({ sql }: Bench, empty: PreloadedPool) =>
  async () =>
    median((await repeated(BATCH, () => allocate(sql, empty))).map(({ time }) => time))

/** Allocates on the pool, and releases as many random keys of it, untimed, so that it keeps its fill. */
export const compare = async (bench: Bench, pool: PreloadedPool, empty: PreloadedPool): Promise<Compared> => {
  const times: Array<number> = []
  const onFilled = async () => {
    const taken = await repeated(BATCH, () => allocate(bench.sql, pool))
    pool.keys.push(...taken.map(({ requestId }) => requestId))
    await repeated(BATCH, () => release(bench.sql, pool, drawn(pool.keys)))
    const batch = taken.map(({ time }) => time)
    times.push(...batch)
    return median(batch)
  }
  const medians = await inTurn(bench.short ? 2 : 40, { empty: onEmpty(bench, empty), filled: onFilled })
  return { p50: median(times), p99: quantile(times, 0.99), ratio: ratioOf(medians.filled, medians.empty) }
}

/** The p50 of a refusal by the full pool to that of an allocation from the empty one. */
export const refusalToAllocation = async (
  bench: Bench,
  full: Parameters<typeof refused>[1],
  empty: PreloadedPool,
): Promise<number> => {
  const onFull = async () => median(await repeated(BATCH, () => refused(bench.sql, full)))
  const medians = await inTurn(bench.short ? 2 : 20, { empty: onEmpty(bench, empty), full: onFull })
  return ratioOf(medians.full, medians.empty)
}

/** Pairs of a release and an allocation a second, of callers who each pick at random among keys of their own. */
export const churn = async (bench: Bench, calm: PreloadedPool, brim: PreloadedPool, callers: number) => {
  const sql = bench.driver(callers)
  const pairsOn = (pool: PreloadedPool) => {
    const hands = Array.from({ length: callers }, () => Array.from({ length: 20 }, () => drawn(pool.keys)))
    return () =>
      callsPerSecond(callers, bench.short ? 0.3 : 1.5, async (caller) => {
        const keys = hands[caller] ?? []
        await release(sql, pool, drawn(keys))
        keys.push((await allocate(sql, pool)).requestId)
      })
  }
  const rates = await inTurn(bench.short ? 1 : 7, { calm: pairsOn(calm), brim: pairsOn(brim) })
  await sql.end({ timeout: 1 })
  return { calm: median(rates.calm), brim: median(rates.brim), ratio: ratioOf(rates.brim, rates.calm) }
}
