/**
 * IP addresses: strict parsing, one canonical spelling (RFC 5952), and conversion to and from numbers.
 *
 * Pure, and the only module that uses `ipaddr.js`. The canonical spelling is what PostgreSQL's `inet` prints. The two IPv6 blocks
 * where the two would differ, `::/96` and `::ffff:0:0/96` (RFC 4291, section 2.5.5), are refused: their addresses stand for IPv4
 * addresses, the unspecified address or the loopback, none of which can be handed out as IPv6.
 */
import type * as Brand from "effect/Brand"
import * as Result from "effect/Result"
import ipaddr from "ipaddr.js"
import { quoted } from "../errors/errorText.ts"

/** The address family: IPv4 or IPv6. */
export type Family = 4 | 6

/** The canonical text of an address: `10.0.0.5`, `2001:db8::5`. Equal addresses are equal strings. */
export type IpAddress = Brand.Branded<string, "IpAddress">

/** The number of bits of an address of the family: 32 or 128. */
export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128)

/** The number of the last address of the family: all bits set. */
export const lastOf = (family: Family): bigint => (1n << BigInt(bitsOf(family))) - 1n

/** The family of an address: IPv6 if it contains a colon. */
export const familyOf = (address: IpAddress): Family => (address.includes(":") ? 6 : 4)

/** The address as a number, `0n` to `lastOf(family)`. */
export const toBigInt = (address: IpAddress): bigint =>
  familyOf(address) === 4
    ? BigInt(ipaddr.IPv4.parse(address).octets.reduce((sum, octet) => sum * 256 + octet, 0))
    : ipaddr.IPv6.parse(address).parts.reduce((sum, part) => (sum << 16n) | BigInt(part), 0n)

/** Whether the IPv6 address lies in `::/96` (IPv4-compatible, with `::` and `::1`) or `::ffff:0:0/96` (IPv4-mapped). */
const standsForIpv4 = (value: bigint): boolean => value >> 32n === 0n || value >> 32n === 0xffffn

const printIpv6 = (value: bigint): string => {
  const parts = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn))
  return new ipaddr.IPv6(parts).toRFC5952String()
}

const printIpv4 = (value: bigint): string =>
  new ipaddr.IPv4([24n, 16n, 8n, 0n].map((shift) => Number((value >> shift) & 0xffn))).toString()

/** The address of a number; `undefined` if it lies outside the family or in a refused IPv6 block. */
export const fromBigInt = (family: Family, value: bigint): IpAddress | undefined => {
  if (value < 0n || value > lastOf(family)) return undefined
  if (family === 4) return printIpv4(value) as IpAddress
  return standsForIpv4(value) ? undefined : (printIpv6(value) as IpAddress)
}

/** At most 60 characters of an input, in quotes, for messages: an input may be huge, or contain control characters. */
export const shown = (text: string): string => quoted(text, 60)

/** Why an IPv6 address in a refused block is refused, with the IPv4 address that was probably meant; `undefined` for other addresses. */
export const refusedBlock = (text: string, value: bigint): string | undefined => {
  if (!standsForIpv4(value)) return undefined
  if (value === 0n) return `${shown(text)} is the unspecified IPv6 address, which nothing can hold`
  if (value === 1n) return `${shown(text)} is the IPv6 loopback address, which nothing can hold`
  const kind = value >> 32n === 0n ? "IPv4-compatible" : "IPv4-mapped"
  return `${shown(text)} is an ${kind} IPv6 address; if IPv4 is meant, write ${printIpv4(value & 0xffffffffn)}`
}

const notAnAddress = (text: string): string =>
  `${shown(text)} is not an IP address; expected e.g. 10.0.0.5 or 2001:db8::5`

const parseIpv4 = (text: string): Result.Result<AddressNumber, string> => {
  if (!/^\d{1,10}(\.\d{1,10}){3}$/.test(text)) {
    return Result.fail(`${shown(text)} is not an IPv4 address; expected four decimal numbers, e.g. 10.0.0.5`)
  }
  if (/(^|\.)0\d/.test(text)) {
    return Result.fail(
      `${shown(text)} has leading zeros, which some programs read as octal; write the numbers without them`,
    )
  }
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return Result.fail(`${shown(text)} is not an IPv4 address; each number is at most 255`)
  }
  return Result.succeed({ family: 4, value: toBigInt(text as IpAddress) })
}

/** The number of an IPv6 address in hexadecimal notation; `undefined` if it is malformed. */
const ipv6Value = (text: string): bigint | undefined => {
  const wellFormed = text.length <= 39 && text.split(":").every((group) => /^[0-9a-f]{0,4}$/i.test(group))
  if (!wellFormed || !ipaddr.IPv6.isValid(text)) return undefined
  return ipaddr.IPv6.parse(text).parts.reduce((sum, part) => (sum << 16n) | BigInt(part), 0n)
}

/** Why an IPv6 address with a dotted quad, e.g. `64:ff9b::10.0.0.1`, is refused: programs print such addresses differently. */
const dottedQuadRefusal = (text: string): string => {
  const [, head = "", quad = ""] = /^(.*:)([\d.]+)$/.exec(text) ?? []
  if (!ipaddr.IPv4.isValidFourPartDecimal(quad))
    return `${shown(text)} is not an IPv6 address; expected e.g. 2001:db8::5`
  const low = toBigInt(quad as IpAddress)
  const value = ipv6Value(`${head}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`)
  if (value === undefined) return `${shown(text)} is not an IPv6 address; expected e.g. 2001:db8::5`
  return refusedBlock(text, value) ?? `${shown(text)} mixes IPv6 and a dotted quad; write ${printIpv6(value)}`
}

const parseIpv6 = (text: string): Result.Result<AddressNumber, string> => {
  if (text.includes("%")) return Result.fail(`${shown(text)} has a zone id; write the address without it`)
  if (text.includes(".")) return Result.fail(dottedQuadRefusal(text))
  const value = ipv6Value(text)
  if (value === undefined) return Result.fail(`${shown(text)} is not an IPv6 address; expected e.g. 2001:db8::5`)
  return Result.succeed({ family: 6, value })
}

/** An address as family and number. Unlike an `IpAddress` it may lie in a refused IPv6 block. */
export interface AddressNumber {
  readonly family: Family
  readonly value: bigint
}

/** As `parseAddress`, but accepts addresses in the refused blocks, as the first address of `::/0` is one. */
export const parseNumber = (text: string): Result.Result<AddressNumber, string> => {
  if (text.includes("/"))
    return Result.fail(`${shown(text)} is a prefix; expected one address, without a prefix length`)
  if (text.includes(":")) return parseIpv6(text)
  return /^[\d.]+$/.test(text) ? parseIpv4(text) : Result.fail(notAnAddress(text))
}

/**
 * Parses an address; fails with the reason. IPv4 is four decimal numbers without leading zeros; IPv6 is any hexadecimal spelling of
 * RFC 4291, section 2.2, forms 1 and 2, in either case. Refused: dotted quads in IPv6, zone ids, blanks, prefixes, and the two
 * IPv6 blocks that the header of this module names.
 */
export const parseAddress = (text: string): Result.Result<IpAddress, string> => {
  const parsed = parseNumber(text)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const { family, value } = parsed.success
  const address = fromBigInt(family, value)
  return address === undefined ? Result.fail(refusedBlock(text, value) ?? notAnAddress(text)) : Result.succeed(address)
}
