/**
 * Spans of addresses as numbers: containment, union, difference, and an index that finds what overlaps a span. Pure.
 *
 * An alternative to `domain/range.ts`, because an import must also represent addresses that no pool can hold, to report them.
 */
import { familyOf, fromBigInt, toBigInt, type Family, type IpAddress } from "../domain/address.ts"
import { printRange, touchesRefusedBlock } from "../domain/range.ts"

/** The addresses from `first` to `last`, both inclusive, of one family. */
export interface Span {
  readonly family: Family
  readonly first: bigint
  readonly last: bigint
}

/** A span that is a prefix; `length` is its prefix length. */
export interface Prefix extends Span {
  readonly length: number
}

/** Whether all of `inner` lies in `outer`; false across families. */
export const containsSpan = (outer: Span, inner: Span): boolean =>
  outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last

/** Whether a pool can hold the span: it touches no block that the domain refuses. */
export const isUsable = ({ family, first, last }: Span): boolean => !touchesRefusedBlock(family, first, last)

/** The first and the last address of the span, which must be usable (`isUsable`). */
export const endsOf = ({ family, first, last }: Span): { readonly first: IpAddress; readonly last: IpAddress } => {
  const [low, high] = [fromBigInt(family, first), fromBigInt(family, last)]
  if (low === undefined || high === undefined) throw new Error(`not a usable IPv${family} span: ${first} to ${last}`)
  return { first: low, last: high }
}

/** The span from one address to another of the same family, both included. */
export const spanBetween = (first: IpAddress, last: IpAddress): Span => ({
  family: familyOf(first),
  first: toBigInt(first),
  last: toBigInt(last),
})

/** The span of one address. */
export const spanOfAddress = (address: IpAddress): Span => spanBetween(address, address)

/** `10.0.0.0/24` when a prefix length is given, else `10.0.0.10-10.0.0.20`, or `10.0.0.5` for one address. The span must be usable. */
export const printSpan = (span: Span, prefixLength?: number): string =>
  printRange({ family: span.family, ...endsOf(span), prefixLength })

const byFirstAddress = (a: Span, b: Span): number =>
  a.family - b.family || (a.first < b.first ? -1 : Number(a.first > b.first))

/** The same addresses as disjoint spans in address order; adjacent spans are joined. */
export const union = (spans: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const joined: Array<Span> = []
  for (const span of spans.toSorted(byFirstAddress)) {
    const before = joined.at(-1)
    if (before === undefined || before.family !== span.family || before.last + 1n < span.first) joined.push(span)
    else if (span.last > before.last) joined[joined.length - 1] = { ...before, last: span.last }
  }
  return joined
}

/** What is left of the span without the parts, in address order. The parts must be of its family, disjoint and in address order. */
export const withoutParts = (span: Span, parts: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const rest: Array<Span> = []
  let next = span.first
  for (const part of parts) {
    if (part.first > next) rest.push({ ...span, first: next, last: part.first - 1n })
    if (part.last >= next) next = part.last + 1n
  }
  return next <= span.last ? [...rest, { ...span, first: next }] : rest
}

/** Something that occupies a span of a VRF. */
export interface VrfSpan {
  readonly vrf: string
  readonly span: Span
}

/** Finds which of many items overlap a span, by binary search. The items of one VRF must not overlap each other. */
export class SpanIndex<Item extends VrfSpan> {
  readonly #sorted: ReadonlyMap<string, ReadonlyArray<Item>>

  constructor(items: ReadonlyArray<Item>) {
    const groups = Map.groupBy(items, ({ vrf, span }) => `${span.family} ${vrf}`)
    this.#sorted = new Map(
      [...groups].map(([key, group]) => [key, group.toSorted((a, b) => byFirstAddress(a.span, b.span))]),
    )
  }

  /** The items that share an address with the span, in address order; `shared` is the part that both have. */
  overlapping(
    vrf: string,
    { family, first, last }: Span,
  ): ReadonlyArray<{ readonly item: Item; readonly shared: Span }> {
    const sorted = this.#sorted.get(`${family} ${vrf}`) ?? []
    // The first item that ends at or after the start of the span: disjoint spans end in the order in which they begin.
    let [low, high] = [0, sorted.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((sorted[middle]?.span.last ?? 0n) < first) low = middle + 1
      else high = middle
    }
    const found: Array<{ readonly item: Item; readonly shared: Span }> = []
    for (let at = low; at < sorted.length; at++) {
      const item = sorted[at]
      if (item === undefined || item.span.first > last) break
      const shared = {
        family,
        first: item.span.first > first ? item.span.first : first,
        last: item.span.last < last ? item.span.last : last,
      }
      found.push({ item, shared })
    }
    return found
  }
}
