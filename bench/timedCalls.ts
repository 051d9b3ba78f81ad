/** Single calls of the SQL functions over one connection: each is timed, and its answer checked. */
import { randomUUID } from "node:crypto"
import type postgres from "postgres"
import { assert } from "./database.ts"

const allocateText = "select outcome, address from ipam.allocate($1, $2, $3)"
const releaseText = "select outcome, freed from ipam.release($1, $2)"

export interface TimedAllocation {
  readonly requestId: string
  readonly address: string
  /** The time of the round trip, in milliseconds. */
  readonly time: number
}

interface PoolName {
  readonly vrf: string
  readonly pool: string
}

const call = async (sql: postgres.Sql, text: string, parameters: ReadonlyArray<string>) => {
  const start = performance.now()
  const [row] = await sql.unsafe<Array<Readonly<Record<string, unknown>>>>(text, [...parameters], { prepare: true })
  return { time: performance.now() - start, row: row ?? {} }
}

/** Allocates an address; rejects if the pool refuses. */
export const allocate = async (sql: postgres.Sql, { vrf, pool }: PoolName): Promise<TimedAllocation> => {
  const requestId = randomUUID()
  const { time, row } = await call(sql, allocateText, [vrf, pool, requestId])
  assert(row["outcome"] === "allocated", `a pool with free addresses answered ${String(row["outcome"])}`)
  return { requestId, address: String(row["address"]), time }
}

/** Allocates from an exhausted pool; returns the time of the refusal in milliseconds. Rejects if the pool does not refuse. */
export const timeRefusal = async (sql: postgres.Sql, { vrf, pool }: PoolName): Promise<number> => {
  const { time, row } = await call(sql, allocateText, [vrf, pool, randomUUID()])
  assert(row["outcome"] === "exhausted", `an exhausted pool answered ${String(row["outcome"])}`)
  return time
}

/** Releases a held key; rejects if that frees no address. */
export const release = async (sql: postgres.Sql, { vrf }: PoolName, requestId: string): Promise<void> => {
  const { row } = await call(sql, releaseText, [vrf, requestId])
  assert(row["freed"] === true, `the release of a held key answered ${JSON.stringify(row)}`)
}
