/**
 * Things that lie on the addresses of a VRF, never two on one address, found by what they share with a span. Pure.
 */
import type { Span } from "./spans.ts"

/** Something of a VRF that has the addresses of a span. */
export interface Cover {
  readonly vrf: string
  readonly span: Span
}

export class Covers<C extends Cover> {
  readonly #rows: ReadonlyMap<string, ReadonlyArray<C>>

  /** Those of one VRF must not overlap. */
  constructor(covers: ReadonlyArray<C>) {
    const rows = Map.groupBy(covers, ({ vrf, span }) => `${span.family} ${vrf}`)
    this.#rows = new Map(
      [...rows].map(([key, row]) => [key, row.toSorted((a, b) => (a.span.first < b.span.first ? -1 : 1))]),
    )
  }

  /** Each that shares an address with the span, in address order, with what they share. */
  meeting(vrf: string, { family, first, last }: Span): ReadonlyArray<{ readonly cover: C; readonly span: Span }> {
    const row = this.#rows.get(`${family} ${vrf}`) ?? []
    // The first of them that ends at or after the span begins: disjoint spans end in the order in which they begin.
    let [low, high] = [0, row.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((row[middle]?.span.last ?? 0n) < first) low = middle + 1
      else high = middle
    }
    const met: Array<{ readonly cover: C; readonly span: Span }> = []
    for (let at = low; at < row.length; at++) {
      const cover = row[at]
      if (cover === undefined || cover.span.first > last) break
      const span = {
        family,
        first: cover.span.first > first ? cover.span.first : first,
        last: cover.span.last < last ? cover.span.last : last,
      }
      met.push({ cover, span })
    }
    return met
  }
}
