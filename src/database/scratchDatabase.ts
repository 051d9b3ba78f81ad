/**
 * A temporary, migrated database for demos, benchmarks and tools: on a temporary server of its own, or as a new database on a given
 * server. Never touches another database of that server.
 */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { Database } from "./Database.ts"
import { startTemporaryServer } from "../embedded/temporary.ts"
import { migrate } from "./migrate.ts"
import { failWith } from "./failure.ts"

export interface ScratchDatabase {
  /** The URL of the database, for its owner. */
  readonly url: string
  /** Drops the database, or stops and removes its own server. May be called again. */
  readonly remove: () => Promise<void>
}

export interface ScratchOptions {
  /** A word for its name: `demo` gives `saga_ipam_demo_1a2b3c4d5e`. */
  readonly purpose: string
  /** The server to use; `undefined` for a temporary one. */
  readonly url: string | undefined
  /** Whether a temporary server flushes to disk at every commit, as servers in production do. */
  readonly durable: boolean
  /** The folder of migrations and functions; by default that of this package. */
  readonly sqlFolder?: string
  /** The folder of the programs of a temporary server; by default the embedded ones. */
  readonly binaries?: string
}

/** Creates and migrates the database. Rejects as `connect` and `migrate` do, and then leaves nothing behind. */
export const openScratchDatabase = async (options: ScratchOptions): Promise<ScratchDatabase> => {
  const scratch = options.url === undefined ? await ownServer(options) : await ownDatabase(options.url, options.purpose)
  try {
    await Effect.runPromise(
      migrate(options.sqlFolder === undefined ? {} : { folder: options.sqlFolder }).pipe(
        Effect.provide(Database.layer({ url: scratch.url })),
      ),
    )
    return scratch
  } catch (error) {
    await scratch.remove()
    throw error
  }
}

const ownServer = async ({ purpose, durable, binaries }: ScratchOptions): Promise<ScratchDatabase> => {
  const server = await startTemporaryServer(`saga-ipam-${purpose}-`, { durable, binaries })
  return { url: server.url, remove: once(server.stop) }
}

const ownDatabase = async (url: string, purpose: string): Promise<ScratchDatabase> => {
  const name = `saga_ipam_${purpose}_${randomBytes(5).toString("hex")}`
  const run = (call: string, options = "") =>
    Effect.runPromise(
      Effect.flatMap(Database, (database) => database.script(`${call} ${name}${options}`, 60_000)).pipe(
        Effect.catch((failure) => failWith(failure, { call })),
        Effect.provide(Database.layer({ url })),
      ),
    )
  await run("create database")
  return {
    url: withDatabase(url, name),
    remove: once(async () => {
      // FORCE is refused to whoever is no superuser while autovacuum works there, which a plain DROP ends by itself.
      await run("drop database if exists", " with (force)").catch(() => run("drop database if exists"))
    }),
  }
}

/** The URL of another database of the same server. Not by `URL`, which accepts neither several hosts nor none. */
const withDatabase = (url: string, name: string): string => {
  const [base = "", query = ""] = url.trim().split("?", 2)
  const parameters = query.split("&").filter((part) => part !== "" && !part.startsWith("dbname="))
  return `${base}?${[`dbname=${name}`, ...parameters].join("&")}`
}

/** Runs the work at the first call; every call returns the same promise. */
const once = (work: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined
  return () => (done ??= work())
}
