/**
 * Plans an import: which prefixes become pools, which addresses are allocated, what is reserved, and which earlier allocations the
 * source no longer has. Pure. The plan does not depend on the order of the inventory: of two entries that compete, the one with
 * the lower id wins.
 */
import type { IpAddress } from "../domain/address.ts"
import type { Owner } from "../domain/identity.ts"
import { compareIds, type Inventory, type Occupied, type Origin, type SourcePool } from "./inventory.ts"
import type { Space } from "./inventory.ts"
import { slotChooser } from "./requestKeys.ts"
import { containsSpan, isUsable, printSpan, SpanIndex, spanOfAddress, union, withoutParts } from "./spans.ts"
import type { Span, VrfSpan } from "./spans.ts"

/** A pool whose one range is a prefix, which is also its name: `10.0.0.0/24`. */
export interface PlannedPool extends Origin {
  readonly vrf: string
  readonly pool: string
  /** Whether the network and broadcast addresses are handed out too. */
  readonly includeNetworkAddresses: boolean
}

export interface PlannedReservation extends Origin {
  readonly vrf: string
  readonly pool: string
  /** `10.0.0.8/29`, `10.0.0.10-10.0.0.20` or `10.0.0.5`. */
  readonly range: string
  /** Which entry of the source requires it, and why: `import netbox: address 7 is dhcp`. */
  readonly reason: string
}

/** An allocation without a ttl, confirmed at once. */
export interface PlannedAllocation extends Origin {
  readonly vrf: string
  readonly pool: string
  readonly address: string
  readonly requestId: string
  readonly slot: string
  readonly owner: Owner | null
}

/** An entry of the source that was skipped or is unprotected. `what` is how the source writes it; `vrf` is `null` if it is unknown. */
export interface ReportedEntry extends Origin {
  readonly vrf: string | null
  readonly what: string
  /** A word for programs, e.g. `duplicate`. */
  readonly reason: string
  /** The reason in a sentence, for people. */
  readonly message: string
}

/** A range of a pool in the database; `id` is the pool's, empty for a pool that a dry run would create. */
export interface PoolRange extends VrfSpan {
  readonly id: string
  readonly pool: string
}

/** How the name of a pool begins until its import has finished: nobody can allocate from it by its final name before. */
export const UNFINISHED = "importing "

/** A prefix that becomes a pool; `begun` if an earlier import that did not finish has created the pool. */
export interface NewPool {
  readonly planned: PlannedPool
  readonly span: Span
  readonly begun: boolean
}

/** Looks up the VRF of an address space; `undefined` if there is none. */
export type VrfOf = (space: Space) => string | undefined

const originOf = ({ file, index, id }: Origin): Origin => ({ file, index, id })

/** Makes the report entry of an item. */
export const reported = (
  item: Origin & { readonly text: string },
  vrf: string | undefined,
  reason: string,
  message: string,
): ReportedEntry => ({ ...originOf(item), vrf: vrf ?? null, what: item.text, reason, message })

const unknownSpace = (space: Space): string =>
  "vrf" in space ? `there is no VRF ${space.vrf}` : `the source has no ${space.kind} ${space.id}`
const UNUSABLE = "IPv6 addresses that stand for IPv4 ones cannot be handed out"

/** By first address, the wider prefix first, so that a prefix comes after any prefix that contains it. */
const byFirstAddress = (a: SourcePool, b: SourcePool): number =>
  a.span.family - b.span.family ||
  (a.span.first < b.span.first ? -1 : Number(a.span.first > b.span.first)) ||
  a.span.length - b.span.length ||
  compareIds(a.id, b.id)

/** Which prefixes become pools (`fresh`), which are pools already (`existing`), and which are skipped. */
export const planPools = (pools: ReadonlyArray<SourcePool>, vrfOf: VrfOf, ranges: SpanIndex<PoolRange>) => {
  const fresh: Array<NewPool> = []
  const existing: Array<PlannedPool> = []
  const skipped: Array<ReportedEntry> = []
  // By VRF and family, the last prefix that is a pool: the next prefix begins in it, or after it.
  const lastPool = new Map<string, { readonly source: SourcePool; readonly pool: string }>()
  for (const source of pools.toSorted(byFirstAddress)) {
    const { span } = source
    const vrf = vrfOf(source.space)
    if (vrf === undefined) {
      skipped.push(reported(source, vrf, "unknown_vrf", unknownSpace(source.space)))
      continue
    }
    if (!isUsable(span)) {
      skipped.push(reported(source, vrf, "unusable", UNUSABLE))
      continue
    }
    const before = lastPool.get(`${span.family} ${vrf}`)
    if (before !== undefined && containsSpan(before.source.span, span)) {
      skipped.push(
        containsSpan(span, before.source.span)
          ? reported(source, vrf, "duplicate", `prefix ${before.source.id} is the same`)
          : reported(source, vrf, "nested", `it lies in pool ${before.pool}`),
      )
      continue
    }
    const overlaps = ranges.overlapping(vrf, span)
    const missing = withoutParts(
      span,
      overlaps.map(({ shared }) => shared),
    )
    const name = printSpan(span, span.length)
    const planned = {
      ...originOf(source),
      vrf,
      pool: name,
      includeNetworkAddresses: source.includeNetworkAddresses,
    }
    const pool = overlaps[0]?.item.pool
    if (pool === undefined) fresh.push({ planned, span, begun: false })
    else if (missing.length === 0 && pool === `${UNFINISHED}${name}`) fresh.push({ planned, span, begun: true })
    else if (missing.length === 0) existing.push({ ...planned, pool })
    else {
      const names = [...new Set(overlaps.map(({ item }) => item.pool))].join(", ")
      skipped.push(reported(source, vrf, "range_overlaps", `only part of it is in a pool: ${names}`))
      continue
    }
    lastPool.set(`${span.family} ${vrf}`, { source, pool: pool ?? name })
  }
  return { fresh, existing, skipped }
}

/** A planned allocation or reservation, with the pool range that it lies in and the entry that requires it. */
export interface WithPool<A> {
  readonly poolRange: PoolRange
  readonly span: Span
  readonly source: Occupied
  readonly planned: A
}

/** A key that an earlier import of the source used, live or released. */
export interface ImportedKey {
  readonly vrf: string
  readonly slot: string
  readonly pool: string
  readonly address: IpAddress
  readonly released: boolean
  readonly owner: Owner | null
}

/** What an import does about everything that is occupied. */
export interface Contents {
  readonly allocations: ReadonlyArray<WithPool<PlannedAllocation>>
  readonly reservations: ReadonlyArray<WithPool<PlannedReservation>>
  readonly skipped: ReadonlyArray<ReportedEntry>
  /** Occupied, but in no pool. */
  readonly outside: ReadonlyArray<ReportedEntry>
  /** Live keys of addresses that the source no longer has. */
  readonly gone: ReadonlyArray<ImportedKey>
  /** Whether the source calls the whole span occupied. */
  readonly isOccupied: (vrf: string, span: Span) => boolean
}

/** The text with which the reason of every reservation of the source begins. */
export const reasonPrefixOf = (source: string): string => `import ${source}: `

/** The longest reason of a reservation that the database accepts. */
const MAX_REASON_LENGTH = 1000

/** Plans what to do about everything that is occupied, given the pools that there will be and the keys used so far. */
export const planContents = (
  inventory: Inventory,
  vrfOf: VrfOf,
  ranges: SpanIndex<PoolRange>,
  keys: ReadonlyArray<ImportedKey>,
  { source, requestId }: { readonly source: string; readonly requestId: string },
): Contents => {
  const allocations: Array<WithPool<PlannedAllocation>> = []
  const reservations: Array<WithPool<PlannedReservation>> = []
  const skipped: Array<ReportedEntry> = []
  const outside: Array<ReportedEntry> = []
  const slotFor = slotChooser(keys)
  const occupiedSpans = new Map<string, Array<Span>>()
  const holders = new Map<string, Occupied>()

  for (const { space, reason, message, ...item } of inventory.skipped)
    skipped.push(reported(item, vrfOf(space), reason, message))

  for (const item of inventory.occupied.toSorted((a, b) => compareIds(a.id, b.id))) {
    const { span, what } = item
    const vrf = vrfOf(item.space)
    if (!isUsable(span)) {
      skipped.push(reported(item, vrf, "unusable", UNUSABLE))
      continue
    }
    if (vrf === undefined) {
      ;(what === "prefix" ? skipped : outside).push(reported(item, vrf, "unknown_vrf", unknownSpace(item.space)))
      continue
    }
    const overlaps = ranges.overlapping(vrf, span)
    const inPools = overlaps.map(({ shared }) => shared)
    const inNoPool = withoutParts(span, inPools)
    if (what === "prefix" && inNoPool.length > 0) {
      skipped.push(reported(item, vrf, "outside", `it is ${item.status} and lies in no pool`))
      continue
    }
    for (const part of inNoPool) {
      const message = overlaps.length === 0 ? "it lies in no pool" : `${printSpan(part)} lies in no pool`
      outside.push(reported(item, vrf, "outside", message))
    }
    const key = `${span.family} ${vrf}`
    const spansOfVrf = occupiedSpans.get(key) ?? []
    spansOfVrf.push(...inPools)
    occupiedSpans.set(key, spansOfVrf)
    for (const { item: poolRange, shared } of overlaps) {
      const isWhole = containsSpan(shared, span)
      const text = printSpan(shared, isWhole && "length" in span ? Number(span.length) : undefined)
      const base = { poolRange, span: shared, source: item }
      const location = { ...originOf(item), vrf, pool: poolRange.pool }
      if (item.hold === null) {
        reservations.push({
          ...base,
          planned: { ...location, range: text, reason: reasonOf(source, item, item.status) },
        })
        continue
      }
      const holder = holders.get(`${text} ${vrf}`)
      if (holder !== undefined) {
        skipped.push(reported(item, vrf, "duplicate", `address ${holder.id} is the same and holds it`))
        continue
      }
      holders.set(`${text} ${vrf}`, item)
      const { owner } = item.hold
      allocations.push({ ...base, planned: { ...location, address: text, requestId, slot: slotFor(vrf, text), owner } })
    }
  }

  const occupied = new SpanIndex(
    [...occupiedSpans].flatMap(([key, spans]) => union(spans).map((span) => ({ vrf: key.slice(2), span }))),
  )
  const isOccupied = (vrf: string, span: Span) =>
    occupied.overlapping(vrf, span).some(({ shared }) => containsSpan(shared, span))
  const gone = keys.filter(({ vrf, address, released }) => !released && !isOccupied(vrf, spanOfAddress(address)))
  return { allocations, reservations, skipped, outside, gone, isOccupied }
}

/** The reason of a reservation: tells people who required it, and lets the next import recognise it as its own. */
export const reasonOf = (source: string, { what, id, note }: Occupied, status: string): string =>
  `${reasonPrefixOf(source)}${what} ${id} is ${status}${note === "" ? "" : `: ${note}`}`.slice(0, MAX_REASON_LENGTH)
