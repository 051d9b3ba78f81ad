/**
 * The inventory of another system in our terms: the one form into which exports of NetBox and Nautobot and CSV tables are read.
 * Pure types; knows no file format.
 */
import type { Owner } from "../domain/identity.ts"
import type { Prefix, Span } from "./spans.ts"

/** Where an entry was read: its file, its index in that file (from 0), and its id in the other system. */
export interface Origin {
  readonly file: string
  readonly index: number
  readonly id: number | string
}

/** An address space: an object of the other system, by kind and id, or one of our VRFs, by name. */
export type Space = { readonly kind: string; readonly id: number | string } | { readonly vrf: string }

/** An address space with the name that the other system has for it. `rd` is its route distinguisher, `null` for none. */
export interface NamedSpace extends Origin {
  readonly kind: string
  readonly name: string
  readonly rd: string | null
}

/** `text` is how the source writes the entry; reports quote it. */
interface Item extends Origin {
  readonly space: Space
  readonly text: string
}

/** A prefix that the source hands out addresses from: it becomes a pool. */
export interface SourcePool extends Item {
  readonly span: Prefix
  readonly includeNetworkAddresses: boolean
}

/** Addresses that must never be handed out. */
export interface Occupied extends Item {
  /** The kind of entry. The part of a prefix that lies in no pool needs no protection: nothing hands out its addresses. */
  readonly what: "address" | "range" | "prefix"
  readonly span: Span
  /** Why it is occupied, as in "it is dhcp": `dhcp`, `reserved`, `fully utilized`. */
  readonly status: string
  /** For an address in use: becomes an allocation with this owner. `null`: becomes a reservation. */
  readonly hold: { readonly owner: Owner | null } | null
  /** A description that people wrote; empty for none. */
  readonly note: string
}

/** An entry that an import skips, and that needs no protection. */
export interface Skipped extends Item {
  /** A word for programs, e.g. `container`. */
  readonly reason: string
  /** The reason in a sentence, for people. */
  readonly message: string
}

/** Everything that a source says about addresses. */
export interface Inventory {
  readonly spaces: ReadonlyArray<NamedSpace>
  readonly pools: ReadonlyArray<SourcePool>
  readonly occupied: ReadonlyArray<Occupied>
  readonly skipped: ReadonlyArray<Skipped>
}

/** Orders ids: numbers by size, texts by UTF-16 code units. */
export const compareIds = (a: number | string, b: number | string): number => {
  if (typeof a === "number" && typeof b === "number") return a - b
  const [left, right] = [String(a), String(b)]
  return left === right ? 0 : left < right ? -1 : 1
}
