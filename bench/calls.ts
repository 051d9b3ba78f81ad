/** Single calls of the functions over one connection, timed, with every answer checked. */
import { randomUUID } from "node:crypto"
import type postgres from "postgres"
import { assert } from "./database.ts"

const allocateText = "select outcome, address from ipam.allocate($1, $2, $3)"
const releaseText = "select outcome, freed from ipam.release($1, $2)"

export interface Taken {
  readonly requestId: string
  readonly address: string
  /** Milliseconds of the round trip. */
  readonly time: number
}

interface Place {
  readonly vrf: string
  readonly pool: string
}

const call = async (sql: postgres.Sql, text: string, parameters: ReadonlyArray<string>) => {
  const start = performance.now()
  const [row] = await sql.unsafe<Array<Readonly<Record<string, unknown>>>>(text, [...parameters], { prepare: true })
  return { time: performance.now() - start, row: row ?? {} }
}

/** Rejects unless an address is given. */
export const allocate = async (sql: postgres.Sql, { vrf, pool }: Place): Promise<Taken> => {
  const requestId = randomUUID()
  const { time, row } = await call(sql, allocateText, [vrf, pool, requestId])
  assert(row["outcome"] === "allocated", `a pool with free addresses said ${String(row["outcome"])}`)
  return { requestId, address: String(row["address"]), time }
}

/** Rejects unless the pool says that it has none. Answers the time. */
export const refused = async (sql: postgres.Sql, { vrf, pool }: Place): Promise<number> => {
  const { time, row } = await call(sql, allocateText, [vrf, pool, randomUUID()])
  assert(row["outcome"] === "exhausted", `a full pool said ${String(row["outcome"])}`)
  return time
}

/** Rejects unless an address comes free. */
export const release = async (sql: postgres.Sql, { vrf }: Place, requestId: string): Promise<void> => {
  const { row } = await call(sql, releaseText, [vrf, requestId])
  assert(row["freed"] === true, `a release of a held key said ${JSON.stringify(row)}`)
}
