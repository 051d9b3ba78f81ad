/**
 * What the calls on pools answer. Pure.
 *
 * Counts are of units, exact at any size, `bigint` here and decimal strings in JSON: held + reserved + cooling + free = size.
 */
import * as Schema from "effect/Schema"
import { Address } from "./addressSchema.ts"
import { Time } from "./time.ts"

const count = Schema.BigIntFromString

/** A span of the pool, both ends inclusive; `kind` says whether its addresses are handed out automatically. */
export const PoolRange = Schema.Struct({
  first: Address,
  last: Address,
  prefixLength: Schema.NullOr(Schema.Int),
  gateway: Schema.NullOr(Address),
  kind: Schema.Literals(["allocatable", "reserved"]),
})
export type PoolRange = typeof PoolRange.Type

/** A pool with its counts as of the call; `held` includes taken addresses that go back to reserved. Ranges are in address order. */
export const Pool = Schema.Struct({
  outcome: Schema.Literals(["created", "exists", "found", "added", "removed", "reserved", "unreserved", "deleted"]),
  vrf: Schema.String,
  name: Schema.String,
  id: count,
  family: Schema.Literals([4, 6]),
  size: count,
  held: count,
  reserved: count,
  cooling: count,
  free: count,
  cooldownSeconds: Schema.Finite,
  gateway: Schema.String,
  includeNetworkAddresses: Schema.Boolean,
  ranges: Schema.Array(PoolRange),
  createdAt: Time,
})
export type Pool = typeof Pool.Type
