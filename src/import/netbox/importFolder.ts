/**
 * Imports a folder of NetBox or Nautobot REST exports: reads it, and leaves the rest to `importInventory`.
 */
import * as Effect from "effect/Effect"
import { importInventory, type ImportOptions } from "../importInventory.ts"
import { toInventory } from "./toInventory.ts"
import { readFolder } from "./readFolder.ts"

/**
 * Fails with `InvalidInput` if any of the files is malformed, before anything is written. An error of a database call may come
 * half-way; the same import again completes it.
 */
export const importFolder = Effect.fn("netbox.importFolder")(function* (folder: string, options: ImportOptions) {
  return yield* importInventory(toInventory(yield* readFolder(folder)), options)
})
