/**
 * How NetBox writes addresses and prefixes: always with a mask, `10.0.0.1/22` being an address with its network's. Pure.
 *
 * What the domain refuses on purpose (IPv6 addresses that stand for IPv4 ones) is well-formed in NetBox: it is read, and marked
 * as nothing that can be handed out, so that one such entry does not stop an import.
 */
import * as Result from "effect/Result"
import { bitsOf, parseNumber, shown, type AddressNumber } from "../domain/address.ts"
import type { Prefix } from "./spans.ts"

/** `::ffff:10.0.0.1` and `::10.0.0.1`, which Python and PostgreSQL print for two of the blocks above. */
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

/** An address and the length of its mask, or why the text is none. */
const parseMasked = (text: string): Result.Result<Masked, string> => {
  const [head = "", mask, ...rest] = text.split("/", 3)
  if (mask === undefined || rest.length > 0) {
    return Result.fail(`${shown(text)} must be an address and the length of its mask, e.g. 10.0.0.1/22`)
  }
  return Result.flatMap(parseEmbedded(head), ({ family, value }) => {
    const bits = bitsOf(family)
    return /^(0|[1-9]\d{0,2})$/.test(mask) && Number(mask) <= bits
      ? Result.succeed({ family, value, prefixLength: Number(mask) })
      : Result.fail(`${shown(text)} has no valid mask; expected a length of 0 to ${bits}`)
  })
}

/** The address of `10.0.0.1/22`; its mask is only checked. */
export const parseHost = (text: string): Result.Result<AddressNumber, string> =>
  Result.map(parseMasked(text), ({ family, value }) => ({ family, value }))

/** The prefix `10.0.0.0/22`, or why the text is none. Host bits are refused: NetBox never has them in a prefix. */
export const parseNetwork = (text: string): Result.Result<Prefix, string> =>
  Result.flatMap(parseMasked(text), ({ family, value, prefixLength }) => {
    const hostMask = (1n << BigInt(bitsOf(family) - prefixLength)) - 1n
    return (value & hostMask) === 0n
      ? Result.succeed({ family, first: value, last: value | hostMask, length: prefixLength })
      : Result.fail(`${shown(text)} has host bits set`)
  })
