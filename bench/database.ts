/**
 * The database of a benchmark: on a temporary server that flushes to disk, or with DATABASE_URL a new database on that server. It is
 * removed afterwards, also if the benchmark fails or is interrupted.
 */
import * as Result from "effect/Result"
import postgres from "postgres"
import { openScratchDatabase, type ScratchDatabase, type ScratchOptions } from "../src/database/scratchDatabase.ts"
import { resolveSettings } from "../src/database/settings.ts"
import { connect, type Ipam } from "../src/promise.ts"
import type { Section } from "./report.ts"

export interface Bench {
  readonly ipam: Ipam
  /** Opens another client of the promise API, with so many connections; its calls travel together unless `batch` is false. */
  readonly connected: (connections: number, batch?: boolean) => Promise<Ipam>
  /** One connection of the driver, as the owner. */
  readonly sql: postgres.Sql
  /** Opens a client of the driver with so many connections. */
  readonly driver: (connections: number) => postgres.Sql
  /** The URL of the database, for other programs. */
  readonly url: string
  readonly short: boolean
}

const databases = new Set<ScratchDatabase>()

/**
 * Removes the databases of running benchmarks; for signal handlers. The newest comes first: one that a benchmark has created beside its
 * own is dropped over a connection to that.
 */
export const removeAll = async (): Promise<void> => {
  for (const database of [...databases].toReversed()) await database.remove()
}

/** Creates a database that an interruption removes, too; the caller removes it. */
export const openDatabase = async (options: ScratchOptions): Promise<ScratchDatabase> => {
  const database = await openScratchDatabase(options)
  databases.add(database)
  const remove = async () => {
    await database.remove()
    databases.delete(database)
  }
  return { url: database.url, remove }
}

/** Runs a benchmark on a new database. Rejects if the doctor then finds anything, which makes the figures worthless. */
export const onDatabase = async (short: boolean, run: (bench: Bench) => Promise<Section>): Promise<Section> => {
  const database = await openDatabase({
    purpose: "bench",
    url: process.env["DATABASE_URL"] || undefined,
    durable: true,
  })
  const ends: Array<() => Promise<unknown>> = []
  const connected = async (max: number, batch = true) => {
    // The doctor may have millions of rows to read.
    const ipam = await connect({ url: database.url, max, batch, timeoutSeconds: 600 })
    ends.push(ipam.close)
    return ipam
  }
  const driver = (max: number) => {
    const sql = openDriver(database.url, max)
    ends.push(() => sql.end({ timeout: 1 }))
    return sql
  }
  try {
    const bench = { ipam: await connected(4), connected, sql: driver(1), driver, url: database.url, short }
    const section = await run(bench)
    const findings = await bench.ipam.doctor()
    if (findings.length > 0) throw new Error(`the doctor found ${JSON.stringify(findings.slice(0, 3))}`)
    return section
  } finally {
    await Promise.allSettled(ends.map((end) => end()))
    await database.remove()
  }
}

/** Throws unless the condition holds: a wrong result ends a benchmark before its figures are shown. */
export const assert: (holds: boolean, message: string) => asserts holds = (holds, message) => {
  if (!holds) throw new Error(`wrong result: ${message}`)
}

/** A client of the driver with so many connections; the caller ends it. */
export const openDriver = (url: string, max: number): postgres.Sql => {
  const { endpoints, user, password, database, ssl } = Result.getOrThrow(resolveSettings({ url }))
  return postgres({
    ...endpoints[0],
    user,
    password,
    database,
    ssl: ssl === false ? false : ssl,
    max,
    fetch_types: false,
    onnotice: () => undefined,
  })
}
