/** The database that the benches work on: a throw-away server that flushes to disk as a real one does. */
import { startTemporaryServer } from "../src/database/embedded/temporary.ts"
import { connect, type Ipam } from "../src/promise.ts"
import postgres from "postgres"

export interface Bench {
  readonly ipam: Ipam
  /** One connection for bare statements. */
  readonly sql: postgres.Sql
  /** Where pgbench connects. */
  readonly host: string
  readonly short: boolean
}

/** Runs a bench on a server of its own, and removes it however that ends. */
export const onServer = async (short: boolean, run: (bench: Bench) => Promise<void>): Promise<void> => {
  const server = await startTemporaryServer("saga-ipam-bench-", { durable: true })
  const ipam = await connect({ data: server.folder })
  const sql = postgres({ host: server.host, port: 5432, user: server.user, database: server.database, max: 1 })
  try {
    await run({ ipam, sql, host: server.host, short })
    const findings = await ipam.doctor()
    if (findings.length > 0) throw new Error(`the doctor found ${JSON.stringify(findings)}`)
  } finally {
    await sql.end({ timeout: 1 })
    await ipam.close()
    await server.stop()
  }
}

export const quantile = (times: ReadonlyArray<number>, part: number): number => {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}
