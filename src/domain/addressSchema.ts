/**
 * Schemas of addresses, prefixes and ranges: they accept any spelling that the parsers accept, and decode to the canonical one. Pure.
 */
import * as Result from "effect/Result"
import { parseAddress } from "./address.ts"
import { textParsedBy } from "./identity.ts"
import { withQuickReader } from "./quickReader.ts"
import { parsePrefix, parseRange, printRange } from "./range.ts"

const canonicalIpv4 = /^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$/

/** One address: `10.0.0.5`. */
export const Address = withQuickReader(textParsedBy(parseAddress), (value) =>
  typeof value === "string" && canonicalIpv4.test(value) ? value : undefined,
)

/** A prefix without host bits: `10.0.0.0/24`. */
export const Prefix = textParsedBy((text) => Result.map(parsePrefix(text), printRange))

/** A range: `10.0.0.0/24`, `10.0.0.10-10.0.0.20` or `10.0.0.5`. */
export const RangeText = textParsedBy((text) => Result.map(parseRange(text), printRange))

/** What one allocation holds: an address, `10.0.0.5`, or a prefix, `10.0.0.0/28`. */
export const Unit = textParsedBy((text) =>
  text.includes("/") ? Result.map(parsePrefix(text), printRange) : parseAddress(text),
)

/** The gateway of a pool: the `first` or `last` address of each of its prefixes, `none`, or one address. */
export const Gateway = textParsedBy((text): Result.Result<string, string> =>
  text === "first" || text === "last" || text === "none"
    ? Result.succeed(text)
    : Result.mapError(parseAddress(text), (reason) => `${reason}; or first, last or none`),
)
