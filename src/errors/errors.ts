/**
 * The errors of saga-ipam: one class for each way in which a call can fail. The same class stands for an outcome of the database, a
 * failure of a service or a saga, and a problem in an HTTP response.
 *
 * Pure: knows neither where an error comes from nor who reads it. What sagas, HTTP and the CLI do about each class is in
 * `errorFacts.ts`. Times are ISO 8601 in UTC; counts are `bigint`, encoded as decimal strings.
 */
import * as Schema from "effect/Schema"
import { AddressCooling, AddressDraining, AddressOutside, AddressReserved, AddressTaken } from "./addressErrors.ts"
import {
  Contended,
  DatabaseMisconfigured,
  DatabaseUnavailable,
  DatabaseUnreachable,
  DiskFull,
  Drifted,
  NotPermitted,
  SchemaTooNew,
  SchemaTooOld,
} from "./databaseErrors.ts"
import { AllocationExpired, KeyExpired, KeyReleased, KeyReused, OperationEnded } from "./keyErrors.ts"
import { AllocationsLost, OwnersUnreadable, TargetBusy, TooManyOrphans } from "./operationErrors.ts"
import {
  PoolExhausted,
  PoolExists,
  PoolInUse,
  RangeInUse,
  RangeOverlaps,
  UnknownPool,
  UnknownVrf,
} from "./poolErrors.ts"
import { quoted, sentence, where } from "./errorText.ts"

export { AddressCooling, AddressDraining, AddressOutside, AddressReserved, AddressTaken } from "./addressErrors.ts"
export {
  Contended,
  DatabaseMisconfigured,
  DatabaseUnavailable,
  DatabaseUnreachable,
  DiskFull,
  Drifted,
  Finding,
  Repair,
  NotPermitted,
  SchemaTooNew,
  SchemaTooOld,
} from "./databaseErrors.ts"
export { AllocationExpired, KeyExpired, KeyReleased, KeyReused, OperationEnded } from "./keyErrors.ts"
export { AllocationsLost, OwnersUnreadable, TargetBusy, TooManyOrphans } from "./operationErrors.ts"
export {
  PoolExhausted,
  PoolExists,
  PoolInUse,
  RangeInUse,
  RangeOverlaps,
  UnknownPool,
  UnknownVrf,
} from "./poolErrors.ts"

const text = Schema.String
const maybeText = Schema.optional(text)

/** The input breaks a rule; nothing was written. `field` is its path, e.g. `slots[2].pool`, empty for the input as a whole. */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", {
  field: text,
  message: text,
}) {}

/**
 * What the call names does not exist: an allocation, a range of a pool, a reservation, an operation. `what` says which kind. `vrfs` are
 * the VRFs that have one of that name; `slots` are the slots that the request does have.
 */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  what: text,
  vrf: maybeText,
  pool: maybeText,
  range: maybeText,
  requestId: maybeText,
  slot: maybeText,
  vrfs: Schema.optional(Schema.Array(text)),
  slots: Schema.optional(Schema.Array(text)),
}) {
  override get message(): string {
    const named = (names: ReadonlyArray<string>) => names.map((name) => quoted(name)).join(", ")
    const vrfs = this.vrfs ?? []
    const elsewhere = vrfs.length === 0 ? "" : `; there is one in VRF ${named(vrfs)}`
    const slots = this.slots ?? []
    const others =
      slots.length === 0 ? "" : `; the request has ${slots.length === 1 ? "slot" : "slots"} ${named(slots)}`
    return `There is no such ${this.what}${where(this)}${elsewhere}${others}`
  }
}

/** One of several objects that an incomplete identity matches; `id` (a pool, a request id) is unique in its VRF. */
export const Candidate = Schema.Struct({ vrf: text, id: text })

/** A request without a VRF matches objects in several. `identity` is what was requested, e.g. `address 10.0.0.5`. */
export class AmbiguousIdentity extends Schema.TaggedError<AmbiguousIdentity>()("AmbiguousIdentity", {
  identity: text,
  candidates: Schema.Array(Candidate),
}) {
  override get message(): string {
    const list = this.candidates.map((one) => `${quoted(one.id)} in VRF ${quoted(one.vrf)}`).join(", ")
    return `${sentence(this.identity)} may mean ${list}; say which VRF is meant`
  }
}

/** Every error of a call, as a schema (tagged by `_tag`) and as a type. Anything else is a defect: a bug of this library. */
export const IpamError = Schema.Union([
  InvalidInput,
  UnknownPool,
  UnknownVrf,
  NotFound,
  PoolExhausted,
  KeyReused,
  KeyReleased,
  AllocationExpired,
  KeyExpired,
  OperationEnded,
  AllocationsLost,
  TargetBusy,
  AddressTaken,
  AddressCooling,
  AddressReserved,
  AddressDraining,
  AddressOutside,
  RangeInUse,
  RangeOverlaps,
  PoolExists,
  PoolInUse,
  AmbiguousIdentity,
  Contended,
  DatabaseUnavailable,
  DatabaseUnreachable,
  DiskFull,
  NotPermitted,
  DatabaseMisconfigured,
  SchemaTooOld,
  SchemaTooNew,
  Drifted,
  OwnersUnreadable,
  TooManyOrphans,
])
export type IpamError = typeof IpamError.Type

/** What Node prints for `console.error("failed:", error)`: the name, the message and the fields of the error. */
function inspectError(
  this: IpamError,
  _depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string,
): string {
  const { _tag, ...fields } = this
  return `${_tag}: ${this.message} ${inspect({ ...fields }, options)}`
}

for (const { prototype } of IpamError.members) {
  Object.defineProperty(prototype, Symbol.for("nodejs.util.inspect.custom"), { value: inspectError })
}
