/** The database of a demo: on a throw-away server, or its own on the server of DATABASE_URL; gone afterwards either way. */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import { Database } from "../database/Database.ts"
import { startTemporaryServer } from "../database/embedded/temporary.ts"
import { migrate } from "../database/migrate.ts"
import { connect, type ConnectOptions, type Ipam } from "../promise.ts"

export interface DemoDatabase {
  readonly ipam: Ipam
  /** Closes the connection and removes the database. */
  readonly remove: () => Promise<void>
}

const open = async (options: ConnectOptions, remove: () => Promise<unknown>): Promise<DemoDatabase> => {
  try {
    const ipam = await connect({ ...options, max: 16 })
    return {
      ipam,
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
  const own = new URL(url)
  own.pathname = name
  try {
    await Effect.runPromise(migrate().pipe(Effect.provide(Database.layer({ url: own.href }))))
  } catch (error) {
    await remove()
    throw error
  }
  return open({ url: own.href }, remove)
}
