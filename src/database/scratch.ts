/**
 * A migrated database that is gone afterwards, for demos, benches and tools: on a throw-away server, or its own on a server that is
 * there. It never touches another database of that server.
 */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { Database } from "./Database.ts"
import { startTemporaryServer } from "../embedded/temporary.ts"
import { migrate } from "./migrate.ts"
import { failWith } from "./outcome.ts"

export interface ScratchDatabase {
  /** Where it is, as its owner. */
  readonly url: string
  /** Removes it, and with it the server if that is its own. May be called again. */
  readonly remove: () => Promise<void>
}

export interface ScratchOptions {
  /** What it is for, in its name: `demo` gives `saga_ipam_demo_1a2b3c4d5e`. */
  readonly purpose: string
  /** The server; undefined for a throw-away one. */
  readonly url: string | undefined
  /** Whether a throw-away server flushes to disk, as a real one does. */
  readonly durable: boolean
  /** Where its migrations and functions are; those of this package when left out. */
  readonly sqlFolder?: string
  /** The folder of the programs of a throw-away server; the embedded ones when left out. */
  readonly binaries?: string
}

/** Makes it; rejects as `connect` and `migrate` do, leaving nothing. */
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
    url: toDatabase(url, name),
    remove: once(async () => {
      await run("drop database if exists", " with (force)")
    }),
  }
}

/** The URL of another database of the same server. By hand, since `URL` takes neither several hosts nor none. */
const toDatabase = (url: string, name: string): string => {
  const [place = "", query = ""] = url.trim().split("?", 2)
  const others = query.split("&").filter((part) => part !== "" && !part.startsWith("dbname="))
  return `${place}?${[`dbname=${name}`, ...others].join("&")}`
}

/** However many ask for it, and when. */
const once = (work: () => Promise<void>): (() => Promise<void>) => {
  let done: Promise<void> | undefined
  return () => (done ??= work())
}
