/**
 * What the calls on pools take, with every bound that can be checked before the database is asked. Pure.
 *
 * As in `requests.ts`: `Encoded` is what a caller writes, `Type` the canonical request.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Gateway, RangeText } from "./addressSchema.ts"
import { CooldownSeconds, Name, PoolName, PoolRef, Vrf } from "./identity.ts"
import { parseRange } from "./range.ts"
import { Flag } from "./requests.ts"

/** The most ranges, and the most reservations, of one call. */
export const MAX_RANGES = 10_000

const Ranges = Schema.Array(RangeText).check(
  Schema.makeFilter((ranges: ReadonlyArray<string>) =>
    ranges.length > MAX_RANGES ? `must have at most ${MAX_RANGES} entries` : undefined,
  ),
)

interface Definition {
  readonly ranges: ReadonlyArray<string>
  readonly reserve: ReadonlyArray<string>
  readonly gateway: string
}

/** The texts are canonical here, so the family shows in a colon, and a gateway word has none of either kind. */
const isIpv6 = (text: string): boolean => text.includes(":")

const oneFamily = ({ ranges, reserve, gateway }: Definition): Schema.FilterOutput => {
  const [first, ...others] = ranges
  if (first === undefined) return { path: ["ranges"], issue: "must have at least one range" }
  const differs = (text: string): boolean => isIpv6(text) !== isIpv6(first)
  const family = isIpv6(first) ? "IPv6" : "IPv4"
  const range = others.findIndex(differs)
  if (range !== -1)
    return { path: ["ranges", range + 1], issue: `must be ${family} like the first range: a pool has one family` }
  const reserved = reserve.findIndex(differs)
  if (reserved !== -1) return { path: ["reserve", reserved], issue: `must be ${family} like the pool's ranges` }
  const isAddress = Result.isSuccess(parseRange(gateway))
  return isAddress && differs(gateway)
    ? { path: ["gateway"], issue: `must be ${family} like the pool's ranges` }
    : undefined
}

/**
 * A pool of one family. `reserve` is never handed out automatically; network, broadcast and subnet-router anycast addresses
 * are reserved too unless `includeNetworkAddresses`. `gateway` is `none` when left out, the cooldown 0.
 */
export const CreatePoolRequest = Schema.Struct({
  vrf: Vrf,
  name: PoolName,
  ranges: Ranges,
  reserve: Ranges.pipe(Schema.withDecodingDefault(Effect.succeed([]))),
  gateway: Gateway.pipe(Schema.withDecodingDefault(Effect.succeed("none"))),
  cooldownSeconds: CooldownSeconds.pipe(Schema.withDecodingDefault(Effect.succeed(0))),
  includeNetworkAddresses: Flag,
}).check(Schema.makeFilter(oneFamily))

/** One pool, by name or id: for `pool` and `deletePool`. */
export const PoolRequest = Schema.Struct({ vrf: Vrf, pool: PoolRef })

/** A range for a pool; the gateway and the treatment of network addresses are the pool's when left out. */
export const AddRangeRequest = Schema.Struct({
  vrf: Vrf,
  pool: PoolRef,
  range: RangeText,
  includeNetworkAddresses: Schema.optional(Schema.Boolean),
  gateway: Schema.optional(Gateway),
})

/** A range of a pool: for `removeRange`, `reserve` and `unreserve`. */
export const PoolRangeRequest = Schema.Struct({ vrf: Vrf, pool: PoolRef, range: RangeText })

/** All pools of a vrf, of all VRFs when it is left out. */
export const ListPoolsRequest = Schema.Struct({ vrf: Schema.optional(Name) })
