/**
 * The statements of an import: one call of one function of the database each.
 */
import { keyed } from "../services/allocatorStatements.ts"

export const importBindings = keyed("import_bindings", "source")
export const bindImport = keyed("bind_import", "source", "kinds", "ids", "vrfs")
export const importAddresses = keyed(
  "import_addresses",
  "vrf",
  "pool",
  "request_id",
  "slots",
  "addresses",
  "owner_kinds",
  "owner_ids",
  "dry_run",
)
export const importReservations = keyed("import_reservations", "vrf", "pool", "ranges", "reasons", "mark")
export const liftReservations = keyed("lift_reservations", "vrf", "pool", "firsts", "lasts", "reasons")
export const unprotected = keyed("unprotected", "vrf", "pool", "firsts", "lasts")
