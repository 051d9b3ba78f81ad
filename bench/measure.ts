/** Measures times and rates, alternately between contenders, and summarises them. */

/** The quantile of the times at `part`, from 0 to 1; NaN of no times. */
export const quantile = (times: ReadonlyArray<number>, part: number): number => {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

export const median = (numbers: ReadonlyArray<number>): number => quantile(numbers, 0.5)

/**
 * A 95 % confidence interval of the median, by order statistics: whatever the distribution, each number is below the true median with
 * probability 1/2. With fewer than six numbers it is their whole range.
 */
export const medianInterval = (numbers: ReadonlyArray<number>): readonly [number, number] => {
  const sorted = numbers.toSorted((a, b) => a - b)
  const count = sorted.length
  let rank = 0
  // `tail` is the probability that at most `rank` of the numbers are below the median.
  let exactly = 0.5 ** count
  for (let tail = exactly; tail <= 0.025; tail += exactly) {
    rank += 1
    exactly *= (count - rank + 1) / rank
  }
  const low = Math.max(0, rank - 1)
  return [sorted[low] ?? Number.NaN, sorted[count - 1 - low] ?? Number.NaN]
}

/** The median of the ratios of figures that were measured in the same round. */
export const ratioOf = (ours: ReadonlyArray<number>, theirs: ReadonlyArray<number>): number =>
  median(ours.map((one, round) => one / (theirs[round] ?? Number.NaN)))

/**
 * Runs the contenders one after another, for so many rounds, and returns the figure of each in each round. The order is reversed every
 * round, so that a machine that slows down or warms up favours none.
 */
export const inTurn = async <Name extends string>(
  rounds: number,
  contenders: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Readonly<Record<Name, ReadonlyArray<number>>>> => {
  const entries = Object.entries(contenders) as Array<[Name, () => Promise<number>]>
  const figures = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<Name, Array<number>>
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, run] of round % 2 === 0 ? entries : entries.toReversed()) figures[name].push(await run())
  }
  return figures
}

/** How long the work takes, in milliseconds. */
export const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** The rate, in calls per second, of so many callers that each make one call after another for so many seconds. */
export const callsPerSecond = async (
  callers: number,
  seconds: number,
  call: (caller: number) => Promise<unknown>,
): Promise<number> => {
  let calls = 0
  const start = performance.now()
  const end = start + seconds * 1000
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      while (performance.now() < end) {
        await call(caller)
        calls += 1
      }
    }),
  )
  return (calls * 1000) / (performance.now() - start)
}
