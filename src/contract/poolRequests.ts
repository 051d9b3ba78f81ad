/**
 * What the calls on pools take, with every bound that can be checked before the database is asked. Pure.
 *
 * As in `requests.ts`: `Encoded` is what a caller writes, `Type` the canonical request.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Address, Gateway, RangeText } from "../domain/addressSchema.ts"
import { CooldownSeconds, Name, PoolName, PoolRef, Vrf } from "../domain/identity.ts"
import { parseRange } from "../domain/range.ts"
import { Reservation } from "./pool.ts"
import { Flag, Rows } from "./requests.ts"

/** A text for people, up to 1000 characters. */
const Note = Schema.String.check(Schema.isMaxLength(1000))

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

const inVrf = {
  /** The vrf of the pool; `default` when left out. */
  vrf: Vrf,
} as const

const ofPool = {
  ...inVrf,
  /** Its name, or its id: digits alone. */
  pool: PoolRef,
} as const

/** A pool of one family. */
export class CreatePoolRequest extends Schema.Opaque<CreatePoolRequest>()(
  Schema.Struct({
    ...inVrf,
    /** 1 to 200 characters, not digits alone, which would read as an id. */
    name: PoolName,
    /** 1 to 10000, each a prefix `10.0.0.0/24`, both ends `10.0.0.10-10.0.0.20`, or one address `10.0.0.5`. */
    ranges: Ranges,
    /** What is never handed out automatically, written like the ranges; nothing when left out. */
    reserve: Ranges.pipe(Schema.withDecodingDefault(Effect.succeed([]))),
    /** The `first` or the `last` address of each range, an address of one of them, or `none`, as when left out; reserved where a range holds it. */
    gateway: Gateway.pipe(Schema.withDecodingDefault(Effect.succeed("none"))),
    /** For how many seconds a released address is not handed out: 0, as when left out, to 3155760000; fractions count. */
    cooldownSeconds: CooldownSeconds.pipe(Schema.withDecodingDefault(Effect.succeed(0))),
    /** Hands out network, broadcast and subnet-router anycast addresses too; left out or `false`, they are reserved. */
    includeNetworkAddresses: Flag,
    /** For people: up to 1000 characters; no part of the definition. */
    description: Schema.optional(Note),
  }).check(Schema.makeFilter(oneFamily)),
) {}

/** One pool, by name or id: for `getPool` and `deletePool`. */
export class PoolRequest extends Schema.Opaque<PoolRequest>()(Schema.Struct(ofPool)) {}

/** A pool that the doctor named. */
export class RepairRequest extends Schema.Opaque<RepairRequest>()(
  Schema.Struct({
    vrf: Name,
    /** Its name, or its id where it has no name any more. */
    pool: Schema.String,
  }),
) {}

const ofRange = {
  ...ofPool,
  /** A prefix `10.0.0.0/24`, both ends `10.0.0.10-10.0.0.20`, or one address `10.0.0.5`. */
  range: RangeText,
} as const

/** A range for a pool. */
export class AddRangeRequest extends Schema.Opaque<AddRangeRequest>()(
  Schema.Struct({
    ...ofRange,
    /** As in `createPool`; as the pool was created when left out. */
    includeNetworkAddresses: Schema.optional(Schema.Boolean),
    /** As in `createPool`; the pool's when left out. */
    gateway: Schema.optional(Gateway),
  }),
) {}

/** A range of a pool, or a part of one: for `removeRange` and `unreserve`. */
export class PoolRangeRequest extends Schema.Opaque<PoolRangeRequest>()(Schema.Struct(ofRange)) {}

/** What is never to be handed out automatically. */
export class ReserveRequest extends Schema.Opaque<ReserveRequest>()(
  Schema.Struct({
    ...ofRange,
    /** Why, for whoever reads the list: up to 1000 characters. */
    reason: Schema.optional(Note),
  }),
) {}

/** A pool, or one of its ranges: for `drain` and `undrain`. */
export class DrainRequest extends Schema.Opaque<DrainRequest>()(
  Schema.Struct({
    ...ofPool,
    /** A range of the pool, with both of its ends; the whole pool when left out. */
    range: Schema.optional(RangeText),
  }),
) {}

/** Changes of a pool; what is left out stays as it is. */
export class UpdatePoolRequest extends Schema.Opaque<UpdatePoolRequest>()(
  Schema.Struct({
    ...ofPool,
    /** A new name, free in its vrf. */
    name: Schema.optional(PoolName),
    /** For what is released from now on; as in `createPool`. */
    cooldownSeconds: Schema.optional(CooldownSeconds),
    /** As in `createPool`, for all ranges of the pool. */
    gateway: Schema.optional(Gateway),
    /** Up to 1000 characters; empty for none. */
    description: Schema.optional(Note),
  }),
) {}

/** All pools of a vrf, of all VRFs when it is left out. */
export class ListPoolsRequest extends Schema.Opaque<ListPoolsRequest>()(
  Schema.Struct({
    /** Left out: all VRFs. */
    vrf: Schema.optional(Name),
    /** The last of the page before. */
    after: Schema.optional(Schema.Struct({ vrf: Name, name: Name })),
    /** One page of at most so many, 1 to 10000. Left out: everything, read in pages of a thousand. */
    pageSize: Rows,
  }),
) {}

/** All reservations of a pool. */
export class ListReservationsRequest extends Schema.Opaque<ListReservationsRequest>()(
  Schema.Struct({
    ...ofPool,
    /** The last of the page before. */
    after: Schema.optional(Schema.Struct({ first: Address, last: Address, kind: Reservation.fields.kind })),
    /** One page of at most so many, 1 to 10000. Left out: everything, read in pages of a thousand. */
    pageSize: Rows,
  }),
) {}
