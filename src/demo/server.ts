/** The database of a demo: on a throw-away server, or its own on the server of DATABASE_URL; gone afterwards either way. */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { Database } from "../database/Database.ts"
import { startTemporaryServer } from "../database/embedded/temporary.ts"
import { layer } from "../allocator/layer.ts"
import { migrate } from "../database/migrate.ts"
import { importFolder, type ImportReport } from "../netbox/importFolder.ts"
import { connect, type ConnectOptions, type Ipam } from "../promise.ts"

export interface DemoDatabase {
  readonly ipam: Ipam
  /** Imports a folder of NetBox's exports. */
  readonly importFolder: (folder: string, signal: AbortSignal) => Promise<ImportReport>
  /** Closes the connection and removes the database. */
  readonly remove: () => Promise<void>
}

const open = async (options: ConnectOptions, remove: () => Promise<unknown>): Promise<DemoDatabase> => {
  try {
    const ipam = await connect({ ...options, max: 16 })
    return {
      ipam,
      importFolder: (folder, signal) =>
        Effect.runPromise(Effect.provide(importFolder(folder), layer({ ...options, max: 8 })), { signal }),
      remove: async () => {
        await ipam.close()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** The URL of another database of the same server. By hand, since `URL` takes neither several hosts nor none. */
const toDatabase = (url: string, name: string): string => {
  const [place = "", query = ""] = url.trim().split("?", 2)
  return `${place}?dbname=${name}&${query}`
}

/** Makes the database; rejects as `connect` does, leaving nothing. */
export const openDemoDatabase = async (url: string | undefined): Promise<DemoDatabase> => {
  if (url === undefined) {
    const server = await startTemporaryServer("saga-ipam-demo-", { durable: false })
    return open({ data: server.folder }, server.stop)
  }
  const name = `saga_ipam_demo_${randomBytes(5).toString("hex")}`
  const run = (text: string) =>
    Effect.runPromise(
      Effect.flatMap(Database, (database) => database.script(text, 60_000)).pipe(
        Effect.provide(Database.layer({ url })),
      ),
    )
  const remove = () => run(`drop database if exists ${name} with (force)`)
  await run(`create database ${name}`)
  const own = toDatabase(url, name)
  try {
    await Effect.runPromise(migrate().pipe(Effect.provide(Database.layer({ url: own }))))
  } catch (error) {
    await remove()
    throw error
  }
  return open({ url: own }, remove)
}
