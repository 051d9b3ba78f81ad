/**
 * What an import says it did. Pure.
 */
import type { Owner } from "../domain/identity.ts"
import type { PlannedAllocation, PlannedPool, PlannedReservation, Reported } from "./plan.ts"

/** What came of the entries of one kind of answer. */
interface Things {
  readonly pools: ReadonlyArray<PlannedPool>
  readonly reservations: ReadonlyArray<PlannedReservation>
  readonly allocations: ReadonlyArray<PlannedAllocation>
}

/** An address that is held, but for another owner than the source says; `heldFor` is `null` for none. */
export interface HeldOtherwise extends PlannedAllocation {
  readonly heldFor: Owner | null
}

/** What an earlier import made, and the source has no more. */
export interface Missing {
  readonly kind: "allocation" | "reservation"
  readonly vrf: string
  readonly pool: string
  /** The address, or the range that is reserved. */
  readonly range: string
  readonly owner: Owner | null
  readonly reason: string | null
  /** Whether it was released, or its reservation lifted. */
  readonly released: boolean
}

/** What an import did, or, dry, would do. Entries come in the order of their files. */
export interface ImportReport {
  readonly source: string
  readonly dryRun: boolean
  /** Whether everything that the source calls occupied is held or reserved now. */
  readonly complete: boolean
  readonly made: Things
  readonly existing: Things
  /** Held by their keys, for another owner than the source says by now. */
  readonly moved: ReadonlyArray<HeldOtherwise>
  /** Held by somebody else's key, and reserved for the time after. */
  readonly taken: ReadonlyArray<HeldOtherwise>
  readonly missing: ReadonlyArray<Missing>
  /** What has no place here, and needs none: containers, duplicates, prefixes inside of others. */
  readonly left: ReadonlyArray<Reported>
  /** What the source calls occupied, and is neither held nor reserved. */
  readonly unprotected: ReadonlyArray<Reported>
}

const kinds = [/^vrfs/i, /^namespaces/i, /^prefixes/i, /^ip.?ranges/i, /^ip.?addresses/i]
const rankOf = (file: string): number => kinds.findIndex((kind) => kind.test(file))

/** The order of the files, and of the entries in them. */
export const inFileOrder = <S extends { readonly file: string; readonly index: number }>(
  all: ReadonlyArray<S>,
): ReadonlyArray<S> =>
  [...Map.groupBy(all, ({ file }) => file)]
    .toSorted(([a], [b]) => rankOf(a) - rankOf(b) || a.localeCompare(b, "en", { numeric: true }))
    .flatMap(([, same]) => same.toSorted((a, b) => a.index - b.index))
