/** Pools at a given fill, measured alternately with an empty one: the cost of fill, size and fragmentation. */
import { allocate, release, timeRefusal } from "./timedCalls.ts"
import type { Bench } from "./database.ts"
import { callsPerSecond, inTurn, median, quantile, ratioOf } from "./measure.ts"
import type { PreloadedPool } from "./preload.ts"

/** How many calls are made on one pool before those on the other. */
const BATCH = 50

interface Comparison {
  /** In milliseconds. */
  readonly p50: number
  readonly p99: number
  /** The p50 to that of the empty pool: the median over pairs of batches. */
  readonly ratio: number
}

/** Removes a random key and returns it. */
const drawKey = (keys: Array<string>): string => {
  const index = Math.floor(Math.random() * keys.length)
  const key = keys[index] ?? ""
  keys[index] = keys.at(-1) ?? ""
  keys.pop()
  return key
}

const repeat = async <A>(times: number, call: () => Promise<A>): Promise<Array<A>> => {
  const answers: Array<A> = []
  for (let done = 0; done < times; done += 1) answers.push(await call())
  return answers
}

/** The p50 of a batch on the empty pool. Nothing is released there, so that every address is unused. */
const onEmpty =
  ({ sql }: Bench, empty: PreloadedPool) =>
  async () =>
    median((await repeat(BATCH, () => allocate(sql, empty))).map(({ time }) => time))

/** Compares a filled pool with an empty one. Random keys are released, untimed, so that the pool keeps its fill. */
export const compare = async (bench: Bench, pool: PreloadedPool, empty: PreloadedPool): Promise<Comparison> => {
  const times: Array<number> = []
  const onFilled = async () => {
    const allocated = await repeat(BATCH, () => allocate(bench.sql, pool))
    pool.keys.push(...allocated.map(({ requestId }) => requestId))
    await repeat(BATCH, () => release(bench.sql, pool, drawKey(pool.keys)))
    const batch = allocated.map(({ time }) => time)
    times.push(...batch)
    return median(batch)
  }
  const medians = await inTurn(bench.short ? 2 : 40, { empty: onEmpty(bench, empty), filled: onFilled })
  return { p50: median(times), p99: quantile(times, 0.99), ratio: ratioOf(medians.filled, medians.empty) }
}

/** The p50 of a refusal by the full pool to that of an allocation from the empty one. */
export const refusalToAllocation = async (
  bench: Bench,
  full: Parameters<typeof timeRefusal>[1],
  empty: PreloadedPool,
): Promise<number> => {
  const onFull = async () => median(await repeat(BATCH, () => timeRefusal(bench.sql, full)))
  const medians = await inTurn(bench.short ? 2 : 20, { empty: onEmpty(bench, empty), full: onFull })
  return ratioOf(medians.full, medians.empty)
}

/** Pairs of a release and an allocation per second, by callers that each release random keys of their own. */
export const churn = async (bench: Bench, calm: PreloadedPool, almostFull: PreloadedPool, callers: number) => {
  const sql = bench.driver(callers)
  const pairsOn = (pool: PreloadedPool) => {
    const keysOfCallers = Array.from({ length: callers }, () => Array.from({ length: 20 }, () => drawKey(pool.keys)))
    return () =>
      callsPerSecond(callers, bench.short ? 0.3 : 1.5, async (caller) => {
        const keys = keysOfCallers[caller] ?? []
        await release(sql, pool, drawKey(keys))
        keys.push((await allocate(sql, pool)).requestId)
      })
  }
  const rates = await inTurn(bench.short ? 1 : 7, { calm: pairsOn(calm), almostFull: pairsOn(almostFull) })
  await sql.end({ timeout: 1 })
  return {
    calm: median(rates.calm),
    almostFull: median(rates.almostFull),
    ratio: ratioOf(rates.almostFull, rates.calm),
  }
}
