/**
 * Addresses and prefixes as NetBox writes them: always with a prefix length, so that `10.0.0.1/22` is an address in a /22. Pure.
 *
 * IPv6 addresses that stand for IPv4 ones, which the domain refuses, are valid in NetBox. They are parsed here, and the import
 * reports them as unusable, so that one such entry does not stop an import.
 */
import * as Result from "effect/Result"
import { bitsOf, parseNumber, shown, type AddressNumber } from "../domain/address.ts"
import type { Prefix } from "./spans.ts"

/** Also reads `::ffff:10.0.0.1` and `::10.0.0.1`, as Python and PostgreSQL print addresses of `::ffff:0:0/96` and `::/96`. */
const parseEmbedded = (text: string): Result.Result<AddressNumber, string> => {
  const [, mapped, quad] = /^::(ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(text) ?? []
  if (quad === undefined) return parseNumber(text)
  return Result.map(parseNumber(quad), ({ value }) => ({
    family: 6,
    value: mapped === undefined ? value : 0xffff00000000n | value,
  }))
}

interface Masked extends AddressNumber {
  readonly prefixLength: number
}

/** Parses an address with a prefix length; fails with the reason. */
const parseMasked = (text: string): Result.Result<Masked, string> => {
  const [head = "", mask, ...rest] = text.split("/", 3)
  if (mask === undefined || rest.length > 0) {
    return Result.fail(`${shown(text)} must be an address with a prefix length, e.g. 10.0.0.1/22`)
  }
  return Result.flatMap(parseEmbedded(head), ({ family, value }) => {
    const bits = bitsOf(family)
    return /^(0|[1-9]\d{0,2})$/.test(mask) && Number(mask) <= bits
      ? Result.succeed({ family, value, prefixLength: Number(mask) })
      : Result.fail(`${shown(text)} has no valid prefix length; expected 0 to ${bits}`)
  })
}

/** Parses the address in `10.0.0.1/22`; its prefix length is checked and dropped. Fails with the reason. */
export const parseHost = (text: string): Result.Result<AddressNumber, string> =>
  Result.map(parseMasked(text), ({ family, value }) => ({ family, value }))

/** Parses the prefix `10.0.0.0/22`; fails with the reason. Host bits are refused: NetBox never stores them in a prefix. */
export const parseNetwork = (text: string): Result.Result<Prefix, string> =>
  Result.flatMap(parseMasked(text), ({ family, value, prefixLength }) => {
    const hostMask = (1n << BigInt(bitsOf(family) - prefixLength)) - 1n
    return (value & hostMask) === 0n
      ? Result.succeed({ family, first: value, last: value | hostMask, length: prefixLength })
      : Result.fail(`${shown(text)} has host bits set`)
  })
