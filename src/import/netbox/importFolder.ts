/**
 * Imports a folder of REST exports of NetBox or Nautobot.
 */
import * as Effect from "effect/Effect"
import { importInventory, type ImportOptions } from "../importInventory.ts"
import { inventoryOf } from "./inventory.ts"
import { readFolder } from "./readFolder.ts"

/**
 * Fails with `InvalidInput` when any of the files is malformed, before anything is written; the errors of the calls may come
 * half-way, and the same import again is right then.
 */
export const importFolder = Effect.fn("netbox.importFolder")(function* (folder: string, options: ImportOptions) {
  return yield* importInventory(inventoryOf(yield* readFolder(folder)), options)
})
