/**
 * Ranges of addresses: a prefix, a first and a last address, or a single address. Pure.
 *
 * Both ends are inclusive everywhere. A range that touches an IPv6 block that `address.ts` refuses is refused too.
 */
import * as Result from "effect/Result"
import { bitsOf, familyOf, fromBigInt, parseAddress, parseNumber, refusedBlock, shown, toBigInt } from "./address.ts"
import type { Family, IpAddress } from "./address.ts"

/** `first` to `last`; `prefixLength` is set if the range was written as a prefix. */
export interface Range {
  readonly family: Family
  readonly first: IpAddress
  readonly last: IpAddress
  readonly prefixLength: number | undefined
}

/** The canonical text of a range, `10.0.0.0/24`, `10.0.0.10-10.0.0.20` or `10.0.0.5`, which parses to the same range. */
export const printRange = (range: Range): string => {
  if (range.prefixLength !== undefined) return `${range.first}/${range.prefixLength}`
  return range.first === range.last ? range.first : `${range.first}-${range.last}`
}

const refusedRange = (text: string): string =>
  `${shown(text)} reaches into ::/96 or ::ffff:0:0/96, where IPv6 addresses stand for IPv4 ones; leave these blocks out`

/** The IPv6 blocks that `address.ts` refuses, first and last address inclusive. */
const refusedBlocks = [
  [0n, 0xffffffffn],
  [0xffff00000000n, 0xffffffffffffn],
] as const

/** Whether the span from `first` to `last`, both inclusive, touches a refused block. */
export const touchesRefusedBlock = (family: Family, first: bigint, last: bigint): boolean =>
  family === 6 && refusedBlocks.some(([start, end]) => first <= end && start <= last)

const between = (
  text: string,
  family: Family,
  low: bigint,
  high: bigint,
  prefixLength?: number,
): Result.Result<Range, string> => {
  const [first, last] = [fromBigInt(family, low), fromBigInt(family, high)]
  if (touchesRefusedBlock(family, low, high) || first === undefined || last === undefined)
    return Result.fail(refusedRange(text))
  return Result.succeed({ family, first, last, prefixLength })
}

/**
 * Parses a prefix such as `10.0.0.0/24`; fails with the reason. The prefix length is required: decimal without leading zeros, 0 to 32
 * or 128. Host bits are refused, since either the prefix or the address may be meant.
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

/** Parses a range: `10.0.0.0/24`, `10.0.0.10-10.0.0.20` or `10.0.0.5`, or the same in IPv6; fails with the reason. */
export const parseRange = (text: string): Result.Result<Range, string> => {
  if (text.includes("/")) return parsePrefix(text)
  const [first = "", last, ...rest] = text.split("-", 3)
  if (rest.length > 0 || last === "" || first === "")
    return Result.fail(`${shown(text)} is not a range; expected e.g. 10.0.0.10-10.0.0.20`)
  return parseEnds(text, first, last ?? first)
}
