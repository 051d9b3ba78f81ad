/**
 * What another system says about its addresses, in our words, whatever it calls them itself: the same for NetBox, Nautobot and a
 * table. Pure.
 */
import type { Owner } from "../domain/identity.ts"
import type { Prefix, Span } from "./spans.ts"

/** Where something was read: its file, its place in it from 0, and the id that the other system has for it. */
export interface Origin {
  readonly file: string
  readonly index: number
  readonly id: number | string
}

/** An address space of the other system: one of its own objects, known by kind and id, or a VRF of ours by its name. */
export type Space = { readonly kind: string; readonly id: number | string } | { readonly vrf: string }

/** An address space that the other system has a name for. `rd`: its route distinguisher, where it has one. */
export interface NamedSpace extends Origin {
  readonly kind: string
  readonly name: string
  readonly rd: string | null
}

/** `text` is how the source writes it, for reports. */
interface Item extends Origin {
  readonly space: Space
  readonly text: string
}

/** A prefix to hand out addresses from. */
export interface SourcePool extends Item {
  readonly span: Prefix
  readonly includeNetworkAddresses: boolean
}

/** What must never be handed out. */
export interface Occupied extends Item {
  /** What it is there. Of a prefix only what lies in a pool matters: where there is no pool, it hands out nothing. */
  readonly what: "address" | "range" | "prefix"
  readonly span: Span
  /** Why, after `is`: `dhcp`, `reserved`, `fully utilized`. */
  readonly status: string
  /** An address in use: held by a key, for this owner. Else a reservation. */
  readonly hold: { readonly owner: Owner | null } | null
  /** What people wrote about it, where that tells more; empty for nothing. */
  readonly note: string
}

/** What became nothing, and needs to be nothing. */
export interface Left extends Item {
  readonly reason: string
  /** The reason in a sentence. */
  readonly message: string
}

/** All that a source says. */
export interface Inventory {
  readonly spaces: ReadonlyArray<NamedSpace>
  readonly pools: ReadonlyArray<SourcePool>
  readonly occupied: ReadonlyArray<Occupied>
  readonly left: ReadonlyArray<Left>
}

/** Ids in their order: numbers by size, texts byte by byte. */
export const compareIds = (a: number | string, b: number | string): number => {
  if (typeof a === "number" && typeof b === "number") return a - b
  const [left, right] = [String(a), String(b)]
  return left === right ? 0 : left < right ? -1 : 1
}
