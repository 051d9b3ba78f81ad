/**
 * What of a NetBox becomes a pool, a reservation or an allocation, what has no place here, and why. Pure, and the same for the
 * same export in any order: where two compete, the lower NetBox id wins.
 */
import type { Owner } from "../domain/identity.ts"
import type { AddressEntry, PrefixEntry, RangeEntry } from "./entries.ts"
import { holds, printSpan, type Span } from "./notation.ts"
import { Places, type Place } from "./places.ts"
import { locate, nameVrfs, type Leave } from "./placing.ts"
import type { Export, FileName } from "./readFolder.ts"
import { requestIdOf } from "./requestKey.ts"

/** The entry that something comes from: its file, its place in it from 0, and its NetBox id. */
export interface Source {
  readonly file: FileName
  readonly index: number
  readonly id: number
}

/** A pool of one range, which is also its name: `10.0.0.0/24`. */
export interface PlannedPool extends Source {
  readonly vrf: string
  readonly pool: string
  /** NetBox's `is_pool`: network and broadcast addresses are handed out too. */
  readonly includeNetworkAddresses: boolean
}

export interface PlannedReservation extends Source {
  readonly vrf: string
  readonly pool: string
  /** `10.0.0.8/29`, `10.0.0.10-10.0.0.20` or `10.0.0.5`. */
  readonly range: string
}

/** An allocation without a ttl, in the slot `default` of a request id that NetBox's id decides. */
export interface PlannedAllocation extends Source {
  readonly vrf: string
  readonly pool: string
  readonly address: string
  readonly requestId: string
  readonly owner: Owner | null
}

/** Why an entry has no place. What the database refuses has the name of its outcome instead, such as `address_taken`. */
export type Reason =
  | "container"
  | "status"
  | "nested"
  | "duplicate"
  | "outside"
  | "unusable"
  | "vrf_name"
  | "unknown_vrf"

/** An entry that was left. `what` is how NetBox writes it; `vrf` is `null` where it is not known. */
export interface Left extends Source {
  readonly vrf: string | null
  readonly what: string
  readonly reason: Reason | (string & {})
  /** The reason in a sentence. */
  readonly message: string
}

export interface Plan {
  readonly pools: ReadonlyArray<PlannedPool>
  readonly reservations: ReadonlyArray<PlannedReservation>
  readonly allocations: ReadonlyArray<PlannedAllocation>
  readonly left: ReadonlyArray<Left>
}

const byStatus = (status: string): string => `its status is ${JSON.stringify(status)}`

interface Located<E> {
  readonly vrf: string
  readonly entry: E
}

/** A plan in the making. */
class Draft {
  readonly pools: Array<PlannedPool> = []
  readonly reservations: Array<PlannedReservation> = []
  readonly allocations: Array<PlannedAllocation> = []
  readonly left: Array<Left> = []
  readonly #places = new Places()

  readonly leave: Leave = (file, { index, id, ...entry }, vrf, reason, message) => {
    this.left.push({ file, index, id, vrf, what: "text" in entry ? entry.text : entry.name, reason, message })
  }

  #reserve(source: Source, { vrf, pool }: Place, span: Span, length?: number): void {
    this.reservations.push({ ...source, vrf, pool, range: printSpan(span, length) })
  }

  /** Active prefixes, in address order with the wider first: what lies in a pool comes after it. */
  addPools(active: ReadonlyArray<Located<PrefixEntry>>): void {
    const ordered = active.toSorted(
      ({ entry: { span: a } }, { entry: { span: b } }) =>
        Number(a.first > b.first) - Number(a.first < b.first) || a.length - b.length,
    )
    for (const { vrf, entry } of ordered) {
      const source: Source = { file: "prefixes.json", index: entry.index, id: entry.id }
      const outer = this.#places.around(vrf, entry.span)
      if (outer === undefined) {
        const place = { vrf, pool: printSpan(entry.span, entry.span.length), span: entry.span, id: entry.id }
        this.#places.add(place)
        this.pools.push({ ...source, vrf, pool: place.pool, includeNetworkAddresses: entry.isPool })
        if (entry.full) this.#reserve(source, place, entry.span, entry.span.length)
      } else if (holds(entry.span, outer.span)) {
        this.leave(source.file, entry, vrf, "duplicate", `prefix ${outer.id} is the same`)
      } else this.leave(source.file, entry, vrf, "nested", `it lies in the pool ${outer.pool}`)
    }
  }

  addPrefix({ vrf, entry }: Located<PrefixEntry>): void {
    const source: Source = { file: "prefixes.json", index: entry.index, id: entry.id }
    const place = this.#places.around(vrf, entry.span)
    if (entry.status === "container") this.leave(source.file, entry, vrf, "container", "a container is no pool")
    else if (entry.status !== "reserved") this.leave(source.file, entry, vrf, "status", byStatus(entry.status))
    else if (place === undefined) this.leave(source.file, entry, vrf, "outside", "no active prefix holds it")
    else this.#reserve(source, place, entry.span, entry.span.length)
  }

  addRange({ vrf, entry }: Located<RangeEntry>): void {
    const source: Source = { file: "ip-ranges.json", index: entry.index, id: entry.id }
    const parts = this.#places.meeting(vrf, entry.span)
    if (entry.status !== "reserved" && !entry.full)
      this.leave(source.file, entry, vrf, "status", byStatus(entry.status))
    else if (parts.length === 0) this.leave(source.file, entry, vrf, "outside", "no active prefix holds any of it")
    else for (const { place, span } of parts) this.#reserve(source, place, span)
  }

  /** `others` has the addresses that came before, each with its NetBox id. */
  addAddress({ vrf, entry }: Located<AddressEntry>, others: Map<string, number>): void {
    const source: Source = { file: "ip-addresses.json", index: entry.index, id: entry.id }
    if (entry.status !== "active" && entry.status !== "reserved") {
      return this.leave(source.file, entry, vrf, "status", byStatus(entry.status))
    }
    const place = this.#places.around(vrf, entry.span)
    if (place === undefined) return this.leave(source.file, entry, vrf, "outside", "no active prefix holds it")
    const address = printSpan(entry.span)
    const key = `${entry.status} ${address} ${vrf}`
    const other = others.get(key)
    if (other !== undefined) return this.leave(source.file, entry, vrf, "duplicate", `address ${other} is the same`)
    others.set(key, entry.id)
    if (entry.status === "reserved") return this.#reserve(source, place, entry.span)
    const requestId = requestIdOf(entry.id)
    this.allocations.push({ ...source, vrf, pool: place.pool, address, requestId, owner: entry.owner ?? null })
  }
}

const files: ReadonlyArray<FileName> = ["vrfs.json", "prefixes.json", "ip-ranges.json", "ip-addresses.json"]

/** The order of the files, and of the entries in them. */
export const inFileOrder = <S extends Source>(all: ReadonlyArray<S>): Array<S> =>
  all.toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.index - b.index)

/** Plans the import of an export: nothing is read, asked or changed. What is left comes in the order of the files. */
export const planImport = (from: Export): Plan => {
  const draft = new Draft()
  const vrfs = nameVrfs(from.vrfs, draft.leave)
  const prefixes = locate("prefixes.json", from.prefixes, vrfs, draft.leave)
  const isActive = ({ entry }: Located<PrefixEntry>) => entry.status === "active"
  draft.addPools(prefixes.filter(isActive))
  for (const prefix of prefixes) if (!isActive(prefix)) draft.addPrefix(prefix)
  for (const range of locate("ip-ranges.json", from.ranges, vrfs, draft.leave)) draft.addRange(range)
  const others = new Map<string, number>()
  for (const address of locate("ip-addresses.json", from.addresses, vrfs, draft.leave))
    draft.addAddress(address, others)
  const { pools, reservations, allocations } = draft
  return { pools, reservations, allocations, left: inFileOrder(draft.left) }
}
