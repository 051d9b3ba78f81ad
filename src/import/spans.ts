/**
 * Spans of addresses as numbers, and what lies in them. Pure.
 */
import { familyOf, fromBigInt, toBigInt, type Family, type IpAddress } from "../domain/address.ts"
import { printRange } from "../domain/range.ts"

/** `first` to `last`, both inclusive, in one family. */
export interface Span {
  readonly family: Family
  readonly first: bigint
  readonly last: bigint
}

/** A span that is a prefix; `length` is that of its mask. */
export interface Prefix extends Span {
  readonly length: number
}

/** Whether `inner` lies in `outer` whole; never across families. */
export const holds = (outer: Span, inner: Span): boolean =>
  outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last

/** The IPv6 blocks whose addresses stand for IPv4 ones or for none, as in `domain/address.ts`. */
const refusedBlocks: ReadonlyArray<Span> = [
  { family: 6, first: 0n, last: 0xffffffffn },
  { family: 6, first: 0xffff00000000n, last: 0xffffffffffffn },
]

/** Whether pools can hold the span: it reaches into no block that the domain refuses. */
export const isUsable = ({ family, first, last }: Span): boolean =>
  !refusedBlocks.some((block) => block.family === family && first <= block.last && block.first <= last)

/** The ends of a usable span as addresses. */
export const endsOf = ({ family, first, last }: Span): { readonly first: IpAddress; readonly last: IpAddress } => {
  const [low, high] = [fromBigInt(family, first), fromBigInt(family, last)]
  if (low === undefined || high === undefined) throw new Error(`no span of IPv${family}: ${first} to ${last}`)
  return { first: low, last: high }
}

/** The span between two addresses of one family, both included. */
export const spanBetween = (first: IpAddress, last: IpAddress): Span => ({
  family: familyOf(first),
  first: toBigInt(first),
  last: toBigInt(last),
})

/** The span of one address. */
export const spanOfAddress = (address: IpAddress): Span => spanBetween(address, address)

/** `10.0.0.0/24` when a prefix length is given, else `10.0.0.10-10.0.0.20`, or `10.0.0.5` for one address. The span is usable. */
export const printSpan = (span: Span, prefixLength?: number): string =>
  printRange({ family: span.family, ...endsOf(span), prefixLength })

const inOrder = (a: Span, b: Span): number =>
  a.family - b.family || (a.first < b.first ? -1 : Number(a.first > b.first))

/** The same addresses as disjoint spans in address order; neighbours are joined. */
export const union = (spans: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const joined: Array<Span> = []
  for (const span of spans.toSorted(inOrder)) {
    const before = joined.at(-1)
    if (before === undefined || before.family !== span.family || before.last + 1n < span.first) joined.push(span)
    else if (span.last > before.last) joined[joined.length - 1] = { ...before, last: span.last }
  }
  return joined
}

/** What of the span none of the parts has, in address order. The parts are of its family, disjoint, and in address order. */
export const without = (span: Span, parts: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const rest: Array<Span> = []
  let next = span.first
  for (const part of parts) {
    if (part.first > next) rest.push({ ...span, first: next, last: part.first - 1n })
    if (part.last >= next) next = part.last + 1n
  }
  return next <= span.last ? [...rest, { ...span, first: next }] : rest
}
