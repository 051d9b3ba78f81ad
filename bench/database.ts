/**
 * The database that a bench works on: a throw-away server that flushes to disk as a real one does, or with DATABASE_URL one of
 * its own on that server. Gone afterwards, also when the bench fails or is interrupted.
 */
import * as Result from "effect/Result"
import postgres from "postgres"
import { openScratchDatabase, type ScratchDatabase } from "../src/database/scratchDatabase.ts"
import { resolveSettings } from "../src/database/settings.ts"
import { connect, type Ipam } from "../src/promise.ts"
import type { Section } from "./report.ts"

export interface Bench {
  readonly ipam: Ipam
  /** The same API on so many connections of its own. */
  readonly connected: (connections: number) => Promise<Ipam>
  /** One connection for bare statements, as the owner. */
  readonly sql: postgres.Sql
  /** A bare client of so many connections. */
  readonly driver: (connections: number) => postgres.Sql
  /** For programs that connect by themselves. */
  readonly url: string
  readonly short: boolean
}

const places = new Set<ScratchDatabase>()

/** Removes what the benches under way work on; for the handlers of signals. */
export const removeAll = async (): Promise<void> => {
  await Promise.all([...places].map((place) => place.remove()))
}

/** Runs a bench on a database of its own. Rejects when the doctor finds anything afterwards: then no figure counts. */
export const onDatabase = async (short: boolean, run: (bench: Bench) => Promise<Section>): Promise<Section> => {
  const place = await openScratchDatabase({
    purpose: "bench",
    url: process.env["DATABASE_URL"] || undefined,
    durable: true,
  })
  places.add(place)
  const ends: Array<() => Promise<unknown>> = []
  const connected = async (max: number) => {
    // The doctor reads millions of rows here.
    const ipam = await connect({ url: place.url, max, timeoutSeconds: 600 })
    ends.push(ipam.close)
    return ipam
  }
  const driver = (max: number) => {
    const sql = openDriver(place.url, max)
    ends.push(() => sql.end({ timeout: 1 }))
    return sql
  }
  try {
    const bench = { ipam: await connected(4), connected, sql: driver(1), driver, url: place.url, short }
    const section = await run(bench)
    const findings = await bench.ipam.doctor()
    if (findings.length > 0) throw new Error(`the doctor found ${JSON.stringify(findings.slice(0, 3))}`)
    return section
  } finally {
    await Promise.allSettled(ends.map((end) => end()))
    await place.remove()
    places.delete(place)
  }
}

/** Throws, with the message, what must not be: a wrong result ends a bench before its figures are shown. */
export const assert: (holds: boolean, message: string) => asserts holds = (holds, message) => {
  if (!holds) throw new Error(`wrong result: ${message}`)
}

/** A bare client of so many connections; the caller ends it. */
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
