/**
 * The report of an import: what it did, what it found already there, and what it could not protect. Pure.
 */
import type { Owner } from "../domain/identity.ts"
import type { PlannedAllocation, PlannedPool, PlannedReservation, ReportedEntry } from "./plan.ts"

interface Items {
  readonly pools: ReadonlyArray<PlannedPool>
  readonly reservations: ReadonlyArray<PlannedReservation>
  readonly allocations: ReadonlyArray<PlannedAllocation>
}

/** An address whose holder is not the owner that the source names. `heldFor` is the holder, `null` for none. */
export interface HeldForAnother extends PlannedAllocation {
  readonly heldFor: Owner | null
}

/** Something that an earlier import made and the source no longer has. */
export interface Missing {
  readonly kind: "allocation" | "reservation"
  readonly vrf: string
  readonly pool: string
  /** The allocated address, or the reserved range. */
  readonly range: string
  readonly owner: Owner | null
  readonly reason: string | null
  /** Whether this import released the address or lifted the reservation. */
  readonly released: boolean
}

/** What an import did, or, as a dry run, would do. Entries come in the order of the source's files. */
export interface ImportReport {
  readonly source: string
  readonly dryRun: boolean
  /** Whether everything that the source calls occupied is now held or reserved. */
  readonly complete: boolean
  readonly made: Items
  readonly existing: Items
  /** Held by an earlier import for the owner that the source named then; now the source names another. */
  readonly moved: ReadonlyArray<HeldForAnother>
  /** Held by somebody else's key, and reserved for when that key is released. */
  readonly taken: ReadonlyArray<HeldForAnother>
  readonly missing: ReadonlyArray<Missing>
  /** Skipped, and needs no protection: containers, duplicates, prefixes inside others. */
  readonly left: ReadonlyArray<ReportedEntry>
  /** Occupied according to the source, but neither held nor reserved here. */
  readonly unprotected: ReadonlyArray<ReportedEntry>
}

const filePatterns = [/^vrfs/i, /^namespaces/i, /^prefixes/i, /^ip.?ranges/i, /^ip.?addresses/i]
const rankOf = (file: string): number => filePatterns.findIndex((pattern) => pattern.test(file))

/** Sorts entries by file, and within a file by index. */
export const inFileOrder = <Entry extends { readonly file: string; readonly index: number }>(
  entries: ReadonlyArray<Entry>,
): ReadonlyArray<Entry> =>
  [...Map.groupBy(entries, ({ file }) => file)]
    .toSorted(([a], [b]) => rankOf(a) - rankOf(b) || a.localeCompare(b, "en", { numeric: true }))
    .flatMap(([, entriesOfFile]) => entriesOfFile.toSorted((a, b) => a.index - b.index))
