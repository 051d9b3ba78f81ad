/**
 * What the calls on allocations answer: the live allocation of a key, or the tombstone that a release leaves. Pure.
 *
 * Encoded is JSON: generations are decimal strings, times ISO 8601 in UTC.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Address, Unit } from "../domain/addressSchema.ts"
import { Owner } from "../domain/identity.ts"
import { Reservation } from "./pool.ts"
import { Time } from "../domain/time.ts"

const key = { vrf: Schema.String, requestId: Schema.String, slot: Schema.String }

/** The length of the network that the address lies in, where the pool knows it. */
const PrefixLength = Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 128 })))

/** Since when the address is held; `null` of a key that never held one, and in what a saga stored before answers had it. */
const AllocatedAt = Schema.NullOr(Time).pipe(Schema.withDecodingDefault(Effect.succeed(null)))

/**
 * A live allocation: what a DHCP server or a hypervisor needs. `outcome` says how the call went: `allocated` now, `replayed`
 * from an earlier call with this key, `confirmed`, `extended`, or only read (`held`).
 */
export class Allocation extends Schema.Opaque<Allocation>()(
  Schema.Struct({
    outcome: Schema.Literals(["allocated", "replayed", "confirmed", "extended", "held"]),
    vrf: key.vrf,
    pool: Schema.String,
    requestId: key.requestId,
    slot: key.slot,
    address: Unit,
    prefixLength: PrefixLength,
    gateway: Schema.NullOr(Address),
    /** The fencing token: it grows with every allocation of the address. A bigint, which `JSON.stringify` refuses: use `String()`. */
    generation: Schema.BigIntFromString,
    state: Schema.Literals(["provisional", "confirmed"]),
    allocatedAt: AllocatedAt,
    /** `null` once confirmed. */
    expiresAt: Schema.NullOr(Time),
    owner: Schema.NullOr(Owner),
  }),
) {}

/** Why a key was released: by a call, past its ttl, or since its owner was gone. */
export const ReleaseReason = Schema.Literals(["released", "expired", "orphaned"])

const tombstone = {
  ...key,
  pool: Schema.NullOr(Schema.String),
  address: Schema.NullOr(Unit),
  prefixLength: PrefixLength,
  gateway: Schema.NullOr(Address),
  generation: Schema.NullOr(Schema.BigIntFromString),
  state: Schema.Literal("released"),
  allocatedAt: AllocatedAt,
  expiresAt: Schema.NullOr(Time),
  owner: Schema.NullOr(Owner),
  releasedAt: Time,
  releaseReason: ReleaseReason,
  /** Who released an orphan, and why; `null` otherwise. */
  releasedBy: Schema.NullOr(Schema.String),
  releaseNote: Schema.NullOr(Schema.String),
} as const

/** A released key as reads show it. Where the key was released before it was ever seen, what was never known is `null`. */
export class Tombstone extends Schema.Opaque<Tombstone>()(
  Schema.Struct({ outcome: Schema.Literal("released"), ...tombstone }),
) {}

/** The answer to a release. `freed`: this call gave an address back; never so for `already_released`. */
export class Released extends Schema.Opaque<Released>()(
  Schema.Struct({
    outcome: Schema.Literals(["released", "already_released"]),
    freed: Schema.Boolean,
    ...tombstone,
  }),
) {}

/**
 * An address that nobody holds. `reserved` and `draining` ones are not handed out automatically, `cooling` ones not before `until`,
 * which a reserved one may have, too; `outside` is one that lies in no range, of the VRF asked for or, `null`, of any. `uncovered` is one that the doctor will name.
 */
export class FreeAddress extends Schema.Opaque<FreeAddress>()(
  Schema.Struct({
    outcome: Schema.Literals(["free", "reserved", "cooling", "draining", "outside", "uncovered"]),
    address: Address,
    vrf: Schema.NullOr(Schema.String),
    pool: Schema.NullOr(Schema.String),
    prefixLength: PrefixLength,
    gateway: Schema.NullOr(Address),
    /** When its cooldown ends. */
    until: Schema.NullOr(Time),
    /** Who held it last, where it was released with a cooldown. */
    lastOwner: Schema.NullOr(Owner),
    draining: Schema.Boolean,
    /** What reserves it. */
    reservations: Schema.Array(Reservation),
  }),
) {}

/** What an address is: told apart by `outcome`, which is `held` where somebody holds it. */
export type AddressRecord = Allocation | FreeAddress

/** What a key is, once it was seen: told apart by `state`. */
export const KeyRecord = Schema.Union([Allocation, Tombstone])
export type KeyRecord = typeof KeyRecord.Type
