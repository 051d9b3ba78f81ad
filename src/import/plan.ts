/**
 * What becomes of an inventory: which prefixes become pools, which addresses are held, what is reserved, what was imported once
 * and is gone. Pure, and the same for the same inventory in any order: where two compete, the lower id wins.
 */
import type { IpAddress } from "../domain/address.ts"
import type { Owner } from "../domain/identity.ts"
import { Covers, type Cover } from "./covers.ts"
import { compareIds, type Inventory, type Occupied, type Origin, type SourcePool } from "./inventory.ts"
import type { Space } from "./inventory.ts"
import { slotsAfter } from "./keys.ts"
import { holds, isUsable, printSpan, spanOfAddress, union, without, type Span } from "./spans.ts"

/** A pool named by its prefix, which is its one range: `10.0.0.0/24`. */
export interface PlannedPool extends Origin {
  readonly vrf: string
  readonly pool: string
  /** Network and broadcast addresses are handed out too. */
  readonly includeNetworkAddresses: boolean
}

export interface PlannedReservation extends Origin {
  readonly vrf: string
  readonly pool: string
  /** `10.0.0.8/29`, `10.0.0.10-10.0.0.20` or `10.0.0.5`. */
  readonly range: string
  /** Which object of the source asks for it, and why: `import netbox: address 7 is dhcp`. */
  readonly reason: string
}

/** An allocation without a ttl. */
export interface PlannedAllocation extends Origin {
  readonly vrf: string
  readonly pool: string
  readonly address: string
  readonly requestId: string
  readonly slot: string
  readonly owner: Owner | null
}

/** Something of the source without a part here. `what` is how the source writes it; `vrf` is `null` where it is not known. */
export interface Reported extends Origin {
  readonly vrf: string | null
  readonly what: string
  readonly reason: string
  /** The reason in a sentence. */
  readonly message: string
}

/** A range of a pool as it is in the database. `id` is the pool's. */
export interface PoolRangeCover extends Cover {
  readonly id: string
  readonly pool: string
}

/** How the name of a pool begins that an import has not finished: nobody asks for it by that name. */
export const UNFINISHED = "importing "

/** A prefix that becomes a pool; `begun` by an earlier import that did not get to its end. */
export interface NewPool {
  readonly planned: PlannedPool
  readonly span: Span
  readonly begun: boolean
}

/** Answers the VRF of a space. */
export type VrfOf = (space: Space) => string | undefined

const originOf = ({ file, index, id }: Origin): Origin => ({ file, index, id })

export const reported = (
  item: Origin & { readonly text: string },
  vrf: string | undefined,
  reason: string,
  message: string,
): Reported => ({ ...originOf(item), vrf: vrf ?? null, what: item.text, reason, message })

const unknownSpace = (space: Space): string =>
  "vrf" in space ? `there is no VRF ${space.vrf}` : `the source has no ${space.kind} ${space.id}`
const UNUSABLE = "IPv6 addresses that stand for IPv4 ones cannot be handed out"

/** Wider ones first where they begin at one address: what lies in a pool comes after it. */
const byPlace = (a: SourcePool, b: SourcePool): number =>
  a.span.family - b.span.family ||
  (a.span.first < b.span.first ? -1 : Number(a.span.first > b.span.first)) ||
  a.span.length - b.span.length ||
  compareIds(a.id, b.id)

/** Which prefixes are pools already, which become pools, and which have no place. */
export const planPools = (pools: ReadonlyArray<SourcePool>, vrfOf: VrfOf, ranges: Covers<PoolRangeCover>) => {
  const fresh: Array<NewPool> = []
  const existing: Array<PlannedPool> = []
  const left: Array<Reported> = []
  /** By VRF and family the last prefix that is a pool: the next one begins in it, or after it. */
  const last = new Map<string, { readonly source: SourcePool; readonly pool: string }>()
  for (const source of pools.toSorted(byPlace)) {
    const { span } = source
    const vrf = vrfOf(source.space)
    if (vrf === undefined) {
      left.push(reported(source, vrf, "unknown_vrf", unknownSpace(source.space)))
      continue
    }
    if (!isUsable(span)) {
      left.push(reported(source, vrf, "unusable", UNUSABLE))
      continue
    }
    const before = last.get(`${span.family} ${vrf}`)
    if (before !== undefined && holds(before.source.span, span)) {
      left.push(
        holds(span, before.source.span)
          ? reported(source, vrf, "duplicate", `prefix ${before.source.id} is the same`)
          : reported(source, vrf, "nested", `it lies in the pool ${before.pool}`),
      )
      continue
    }
    const met = ranges.meeting(vrf, span)
    const missing = without(
      span,
      met.map((one) => one.span),
    )
    const name = printSpan(span, span.length)
    const planned = {
      ...originOf(source),
      vrf,
      pool: name,
      includeNetworkAddresses: source.includeNetworkAddresses,
    }
    const [first] = met
    if (first === undefined) fresh.push({ planned, span, begun: false })
    else if (missing.length === 0 && first.cover.pool === `${UNFINISHED}${name}`)
      fresh.push({ planned, span, begun: true })
    else if (missing.length === 0) existing.push({ ...planned, pool: first.cover.pool })
    else {
      const names = [...new Set(met.map(({ cover }) => cover.pool))].join(", ")
      left.push(reported(source, vrf, "range_overlaps", `only a part of it is in a pool: ${names}`))
      continue
    }
    last.set(`${span.family} ${vrf}`, { source, pool: first?.cover.pool ?? name })
  }
  return { fresh, existing, left }
}

/** Something that is to be, with the pool that it is to be in. */
export interface Placed<A> {
  readonly cover: PoolRangeCover
  readonly span: Span
  readonly source: Occupied
  readonly planned: A
}

/** A live or released key of the source's request, as of the import. */
export interface HeldKey {
  readonly vrf: string
  readonly slot: string
  readonly pool: string
  readonly address: IpAddress
  readonly released: boolean
  readonly owner: Owner | null
}

/** What is occupied, and what is to be done about it. */
export interface Contents {
  readonly allocations: ReadonlyArray<Placed<PlannedAllocation>>
  readonly reservations: ReadonlyArray<Placed<PlannedReservation>>
  readonly left: ReadonlyArray<Reported>
  /** Occupied, and in no pool. */
  readonly outside: ReadonlyArray<Reported>
  /** Live keys of addresses that the source has no more. */
  readonly gone: ReadonlyArray<HeldKey>
  /** Says whether all of the span is occupied by what the source has. */
  readonly isOccupied: (vrf: string, span: Span) => boolean
}

/** How the reasons of a source's reservations begin. */
export const markOf = (source: string): string => `import ${source}: `

const MAX_REASON = 1000

export const planContents = (
  inventory: Inventory,
  vrfOf: VrfOf,
  ranges: Covers<PoolRangeCover>,
  keys: ReadonlyArray<HeldKey>,
  { source, requestId }: { readonly source: string; readonly requestId: string },
): Contents => {
  const allocations: Array<Placed<PlannedAllocation>> = []
  const reservations: Array<Placed<PlannedReservation>> = []
  const left: Array<Reported> = []
  const outside: Array<Reported> = []
  const slotFor = slotsAfter(keys)
  const spans = new Map<string, Array<Span>>()
  const holders = new Map<string, Occupied>()

  for (const { space, reason, message, ...item } of inventory.left)
    left.push(reported(item, vrfOf(space), reason, message))

  for (const item of inventory.occupied.toSorted((a, b) => compareIds(a.id, b.id))) {
    const { span, what } = item
    const vrf = vrfOf(item.space)
    if (!isUsable(span)) {
      left.push(reported(item, vrf, "unusable", UNUSABLE))
      continue
    }
    if (vrf === undefined) {
      ;(what === "prefix" ? left : outside).push(reported(item, vrf, "unknown_vrf", unknownSpace(item.space)))
      continue
    }
    const parts = ranges.meeting(vrf, span)
    const rest = without(
      span,
      parts.map((part) => part.span),
    )
    if (what === "prefix" && rest.length > 0) {
      left.push(reported(item, vrf, "outside", `it is ${item.status}, and no pool has it`))
      continue
    }
    for (const piece of rest) {
      const where = parts.length === 0 ? "no pool has it" : `no pool has ${printSpan(piece)}`
      outside.push(reported(item, vrf, "outside", where))
    }
    const key = `${span.family} ${vrf}`
    const own = spans.get(key) ?? []
    own.push(...parts.map((part) => part.span))
    spans.set(key, own)
    for (const part of parts) {
      const { cover } = part
      const whole = holds(part.span, span)
      const text = printSpan(part.span, whole && "length" in span ? Number(span.length) : undefined)
      const base = { cover, span: part.span, source: item }
      const place = { ...originOf(item), vrf, pool: cover.pool }
      if (item.hold === null) {
        reservations.push({ ...base, planned: { ...place, range: text, reason: reasonOf(source, item, item.status) } })
        continue
      }
      const holder = holders.get(`${text} ${vrf}`)
      if (holder !== undefined) {
        left.push(reported(item, vrf, "duplicate", `address ${holder.id} is the same, and holds it`))
        continue
      }
      holders.set(`${text} ${vrf}`, item)
      const { owner } = item.hold
      allocations.push({ ...base, planned: { ...place, address: text, requestId, slot: slotFor(vrf, text), owner } })
    }
  }

  const occupied = new Covers(
    [...spans].flatMap(([key, all]) => union(all).map((span) => ({ vrf: key.slice(2), span }))),
  )
  const isOccupied = (vrf: string, span: Span) => occupied.meeting(vrf, span).some((one) => holds(one.span, span))
  const gone = keys.filter(({ vrf, address, released }) => !released && !isOccupied(vrf, spanOfAddress(address)))
  return { allocations, reservations, left, outside, gone, isOccupied }
}

/** Why something is reserved, so that who meets it knows, and so that the next import finds it again. */
export const reasonOf = (source: string, { what, id, note }: Occupied, status: string): string =>
  `${markOf(source)}${what} ${id} is ${status}${note === "" ? "" : `: ${note}`}`.slice(0, MAX_REASON)
