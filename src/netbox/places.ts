/**
 * The pools of a plan as spans that never overlap within a vrf, found by what lies in them. Pure.
 */
import { holds, type Span } from "./notation.ts"

/** A pool of the plan; `id` is that of its prefix in NetBox. */
export interface Place {
  readonly vrf: string
  readonly pool: string
  readonly span: Span
  readonly id: number
}

export class Places {
  readonly #rows = new Map<string, Array<Place>>()

  #row(vrf: string, { family }: Span): Array<Place> {
    const key = `${family} ${vrf}`
    const row = this.#rows.get(key) ?? []
    this.#rows.set(key, row)
    return row
  }

  /** Adds one that begins after the end of every other of its vrf and family. */
  add(place: Place): void {
    this.#row(place.vrf, place.span).push(place)
  }

  /** The places of the vrf and family, and how many of them begin at or before `value`. */
  #upTo(vrf: string, span: Span, value: bigint): { readonly places: ReadonlyArray<Place>; readonly end: number } {
    const places = this.#row(vrf, span)
    let [low, high] = [0, places.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((places[middle]?.span.first ?? 0n) <= value) low = middle + 1
      else high = middle
    }
    return { places, end: low }
  }

  /** The one that holds the span whole. */
  around(vrf: string, span: Span): Place | undefined {
    const { places, end } = this.#upTo(vrf, span, span.first)
    const place = places[end - 1]
    return place !== undefined && holds(place.span, span) ? place : undefined
  }

  /** Each that shares an address with the span, in address order, with what they share. */
  meeting(vrf: string, { family, first, last }: Span): ReadonlyArray<{ readonly place: Place; readonly span: Span }> {
    const { places, end } = this.#upTo(vrf, { family, first, last }, last)
    let start = end
    while (start > 0 && (places[start - 1]?.span.last ?? -1n) >= first) start -= 1
    return places.slice(start, end).map((place) => ({
      place,
      span: {
        family,
        first: place.span.first > first ? place.span.first : first,
        last: place.span.last < last ? place.span.last : last,
      },
    }))
  }
}
