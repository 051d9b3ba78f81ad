/** One cell of the comparison: so many clients who allocate at once from a pool with so many free addresses. */
import { randomUUID } from "node:crypto"
import type postgres from "postgres"
import { allocate, type Algorithm, type Given } from "./algorithm.ts"

/** A pool as it is before each batch. */
export interface Fill {
  readonly size: number
  readonly held: ReadonlySet<string>
}

/** How many wrong answers an algorithm has given. */
export interface Wrong {
  /** An address that somebody else held. */
  double: number
  /** A refusal although an address was free from before the call until after it. */
  exhausted: number
  /** A repeated call that got another answer than the first time. */
  lost: number
}

interface Measured {
  /** Allocations per second. */
  readonly rate: number
  /** Of single calls, in milliseconds. */
  readonly times: ReadonlyArray<number>
}

/** How many calls are repeated, to see whether they get the same answer. */
const REPEATED = 5

/**
 * Allocates for so many seconds, and counts what was wrong. As soon as no address is free, all that were allocated are released, and
 * only then is there another batch: so the pool has the fill of the cell, and every refusal is wrong. Releases are not timed.
 */
export const measure = async (
  algorithm: Algorithm,
  { size, held }: Fill,
  sessions: ReadonlyArray<postgres.Sql>,
  seconds: number,
  wrong: Wrong,
): Promise<Measured> => {
  const [session] = sessions
  if (session === undefined) throw new Error("a cell needs a client")
  const times: Array<number> = []
  let elapsed = 0
  let calls = 0
  while (elapsed < seconds * 1000) {
    const batch = await allocateAll(algorithm, sessions, size - held.size, seconds * 1000 - elapsed)
    elapsed += batch.elapsed
    calls += batch.times.length
    times.push(...batch.times)
    wrong.exhausted += batch.refused
    const fresh = new Set(batch.given.map(({ ip }) => ip).filter((ip) => !held.has(ip)))
    wrong.double += batch.given.length - fresh.size
    const isLast = elapsed >= seconds * 1000
    const extra = isLast ? await repeatSome(algorithm, session, batch.given, wrong) : []
    await algorithm.release(session, [...batch.given, ...extra])
  }
  return { rate: (calls * 1000) / elapsed, times }
}

const allocateAll = async (
  algorithm: Algorithm,
  sessions: ReadonlyArray<postgres.Sql>,
  free: number,
  milliseconds: number,
) => {
  const given: Array<Given> = []
  const times: Array<number> = []
  let refused = 0
  let left = free
  const start = performance.now()
  await Promise.all(
    sessions.map(async (session) => {
      while (left > 0 && performance.now() < start + milliseconds) {
        left -= 1
        const key = randomUUID()
        const begun = performance.now()
        const ip = await allocate(algorithm, session, key)
        times.push(performance.now() - begun)
        if (ip === undefined) refused += 1
        else given.push({ key, ip })
      }
    }),
  )
  return { given, times, refused, elapsed: performance.now() - start }
}

/** Repeats some calls with their keys. Returns what they allocated besides. */
const repeatSome = async (
  algorithm: Algorithm,
  session: postgres.Sql,
  given: ReadonlyArray<Given>,
  wrong: Wrong,
): Promise<ReadonlyArray<Given>> => {
  const extra: Array<Given> = []
  for (const { key, ip } of given.slice(0, REPEATED)) {
    const again = await allocate(algorithm, session, key)
    if (again === ip) continue
    wrong.lost += 1
    if (again !== undefined) extra.push({ key, ip: again })
  }
  return extra
}
