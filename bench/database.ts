/**
 * The database that a bench works on: a throw-away server that flushes to disk as a real one does, or with DATABASE_URL one of
 * its own on that server. Gone afterwards, also when the bench fails or is interrupted.
 */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import postgres from "postgres"
import { Database } from "../src/database/Database.ts"
import { startTemporaryServer } from "../src/database/embedded/temporary.ts"
import { migrate } from "../src/database/migrate.ts"
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

interface Place {
  readonly url: string
  readonly remove: () => Promise<void>
}

const places = new Set<Place>()

/** Removes what the benches under way work on; for the handlers of signals. */
export const removeAll = async (): Promise<void> => {
  await Promise.all([...places].map((place) => place.remove()))
}

/** Runs a bench on a database of its own. Rejects when the doctor finds anything afterwards: then no figure counts. */
export const onDatabase = async (short: boolean, run: (bench: Bench) => Promise<Section>): Promise<Section> => {
  const place = await open(process.env["DATABASE_URL"] || undefined)
  places.add(place)
  const ends: Array<() => Promise<unknown>> = []
  const connected = async (max: number) => {
    // The doctor reads millions of rows here.
    const ipam = await connect({ url: place.url, max, timeoutSeconds: 600 })
    ends.push(ipam.close)
    return ipam
  }
  const driver = (max: number) => {
    const sql = driverOf(place.url, max)
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

const script = (url: string, text: string) =>
  Effect.runPromise(
    Effect.flatMap(Database, (database) => database.script(text, 60_000)).pipe(Effect.provide(Database.layer({ url }))),
  )

const open = async (url: string | undefined): Promise<Place> => {
  const place = url === undefined ? await ownServer() : await ownDatabase(url)
  try {
    await Effect.runPromise(migrate().pipe(Effect.provide(Database.layer({ url: place.url }))))
    return place
  } catch (error) {
    await place.remove()
    throw error
  }
}

/** However many ask for it, and when. */
const once = (work: () => Promise<void>) => {
  let done: Promise<void> | undefined
  return () => (done ??= work())
}

const ownServer = async (): Promise<Place> => {
  const server = await startTemporaryServer("saga-ipam-bench-", { durable: true })
  return { url: server.url, remove: once(server.stop) }
}

const ownDatabase = async (url: string): Promise<Place> => {
  const name = `saga_ipam_bench_${randomBytes(5).toString("hex")}`
  await script(url, `create database ${name}`)
  const own = new URL(url)
  own.pathname = name
  return {
    url: own.href,
    remove: once(async () => {
      await script(url, `drop database if exists ${name} with (force)`)
    }),
  }
}

const driverOf = (url: string, max: number): postgres.Sql => {
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
