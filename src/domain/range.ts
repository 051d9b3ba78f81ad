/**
 * Ranges of addresses: a prefix, two ends or one address, in one family. Pure.
 *
 * Both ends are inclusive everywhere. Ranges that touch the IPv6 blocks that `address.ts` refuses are refused too.
 */
import * as Result from "effect/Result"
import { bitsOf, familyOf, fromBigInt, parseAddress, parseNumber, refusedBlock, shown, toBigInt } from "./address.ts"
import type { Family, IpAddress } from "./address.ts"

/** `first` to `last`; `prefixLength` when it was written as a prefix, so that the network is known. */
export interface Range {
  readonly family: Family
  readonly first: IpAddress
  readonly last: IpAddress
  readonly prefixLength: number | undefined
}

/** How many addresses the range holds, at least `1n`. */
export const sizeOf = (range: Range): bigint => toBigInt(range.last) - toBigInt(range.first) + 1n

/** Whether the two share an address; never across families. */
export const overlaps = (a: Range, b: Range): boolean =>
  a.family === b.family && toBigInt(a.first) <= toBigInt(b.last) && toBigInt(b.first) <= toBigInt(a.last)

/** Whether the address lies in the range; never across families. */
export const contains = (range: Range, address: IpAddress): boolean => {
  if (familyOf(address) !== range.family) return false
  const value = toBigInt(address)
  return toBigInt(range.first) <= value && value <= toBigInt(range.last)
}

/** `10.0.0.0/24`, `10.0.0.10-10.0.0.20` or `10.0.0.5`: the canonical text, which parses to the same range. */
export const printRange = (range: Range): string => {
  if (range.prefixLength !== undefined) return `${range.first}/${range.prefixLength}`
  return range.first === range.last ? range.first : `${range.first}-${range.last}`
}

/**
 * The addresses of a prefix that no host may have, in address order: of IPv4 up to /30 the network and the broadcast address
 * (RFC 1122 3.2.1.3), of IPv6 up to /126 the subnet-router anycast address (RFC 4291 2.6.1). None of a /31 (RFC 3021), a /127
 * (RFC 6164), a /32 or a /128, and none of a range that is not a prefix.
 */
export const networkAddresses = (range: Range): ReadonlyArray<IpAddress> => {
  if (range.prefixLength === undefined || bitsOf(range.family) - range.prefixLength < 2) return []
  return range.family === 4 ? [range.first, range.last] : [range.first]
}

const touchesRefused = (text: string): string =>
  `${shown(text)} reaches into ::/96 or ::ffff:0:0/96, where IPv6 addresses stand for IPv4 ones; leave these blocks out`

/** The two blocks, first and last inclusive. */
const refusedBlocks = [
  [0n, 0xffffffffn],
  [0xffff00000000n, 0xffffffffffffn],
] as const

const between = (
  text: string,
  family: Family,
  low: bigint,
  high: bigint,
  prefixLength?: number,
): Result.Result<Range, string> => {
  const touched = family === 6 && refusedBlocks.some(([start, end]) => low <= end && start <= high)
  const [first, last] = [fromBigInt(family, low), fromBigInt(family, high)]
  if (touched || first === undefined || last === undefined) return Result.fail(touchesRefused(text))
  return Result.succeed({ family, first, last, prefixLength })
}

/**
 * `10.0.0.0/24`: a prefix, or why the text is none. An address without a mask is none. The length is decimal without leading
 * zeros, 0 to 32 or 128; a set host bit is refused, since nobody can tell whether the prefix or the address was meant.
 */
export const parsePrefix = (text: string): Result.Result<Range, string> => {
  const [head = "", mask, ...rest] = text.split("/", 3)
  if (mask === undefined || rest.length > 0)
    return Result.fail(`${shown(text)} is not a prefix; expected e.g. 10.0.0.0/24`)
  const base = parseNumber(head)
  if (Result.isFailure(base)) return Result.fail(base.failure)
  const { family, value } = base.success
  const bits = bitsOf(family)
  if (!/^(0|[1-9]\d{0,2})$/.test(mask) || Number(mask) > bits) {
    return Result.fail(`${shown(text)} has no valid prefix length; expected 0 to ${bits}`)
  }
  const hostMask = (1n << BigInt(bits - Number(mask))) - 1n
  const inBlock = family === 6 && Number(mask) >= 96 ? refusedBlock(text, value) : undefined
  if (inBlock !== undefined) return Result.fail(inBlock)
  if ((value & hostMask) !== 0n) {
    const network = fromBigInt(family, value & ~hostMask)
    const meant =
      network === undefined ? "" : `; the prefix is ${network}/${mask}, the address alone ${fromBigInt(family, value)}`
    return Result.fail(`${shown(text)} has host bits set${meant}`)
  }
  return between(text, family, value, value | hostMask, Number(mask))
}

const parseEnds = (text: string, firstText: string, lastText: string): Result.Result<Range, string> => {
  const first = parseAddress(firstText)
  if (Result.isFailure(first)) return Result.fail(first.failure)
  const last = parseAddress(lastText)
  if (Result.isFailure(last)) return Result.fail(last.failure)
  if (familyOf(first.success) !== familyOf(last.success)) {
    return Result.fail(
      `${shown(text)} begins in IPv${familyOf(first.success)} and ends in IPv${familyOf(last.success)}`,
    )
  }
  if (toBigInt(first.success) > toBigInt(last.success)) return Result.fail(`${shown(text)} ends before it begins`)
  return between(text, familyOf(first.success), toBigInt(first.success), toBigInt(last.success))
}

/** The range that `10.0.0.0/24`, `10.0.0.10-10.0.0.20` or `10.0.0.5` spells, IPv6 alike, or why the text spells none. */
export const parseRange = (text: string): Result.Result<Range, string> => {
  if (text.includes("/")) return parsePrefix(text)
  const [first = "", last, ...rest] = text.split("-", 3)
  if (rest.length > 0 || last === "" || first === "")
    return Result.fail(`${shown(text)} is not a range; expected e.g. 10.0.0.10-10.0.0.20`)
  return parseEnds(text, first, last ?? first)
}
