/** The temporary database of a demo, and the calls that the demo makes on it. */
import * as Effect from "effect/Effect"
import { layer } from "../layer.ts"
import { openScratchDatabase } from "../database/scratchDatabase.ts"
import type { ImportReport } from "../import/report.ts"
import { importFolder } from "../import/netbox/importFolder.ts"
import { connect, type Ipam } from "../promise.ts"

export interface DemoDatabase {
  readonly url: string
  readonly ipam: Ipam
  /** Imports a folder of NetBox exports. */
  readonly importFolder: (folder: string, signal: AbortSignal) => Promise<ImportReport>
  /** Closes the connections and removes the database. */
  readonly remove: () => Promise<void>
}

/** Creates it on the given server, else on a temporary one. Rejects as `connect` does, and then leaves nothing behind. */
export const openDemoDatabase = async (server: string | undefined): Promise<DemoDatabase> => {
  const { url, remove } = await openScratchDatabase({ purpose: "demo", url: server, durable: false })
  try {
    const ipam = await connect({ url, max: 16 })
    return {
      url,
      ipam,
      importFolder: (folder, signal) =>
        Effect.runPromise(Effect.provide(importFolder(folder, { source: "netbox" }), layer({ url, max: 8 })), {
          signal,
        }),
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
