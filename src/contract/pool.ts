/**
 * What the calls on pools answer. Pure.
 *
 * Counts are of units, exact at any size, `bigint` here and decimal strings in JSON: held + reserved + cooling + free = size.
 */
import * as Schema from "effect/Schema"
import { Address } from "../domain/addressSchema.ts"
import { Time } from "../domain/time.ts"

const count = Schema.BigIntFromString

/** `draining`: nothing is allocated from it automatically; what is held stays. */
const State = Schema.Literals(["active", "draining"])

/**
 * A span of the pool, both ends inclusive. `prefixLength` is that of its network, of which it may be a part; `revision` grows with
 * each change.
 */
export class PoolRange extends Schema.Opaque<PoolRange>()(
  Schema.Struct({
    first: Address,
    last: Address,
    prefixLength: Schema.NullOr(Schema.Int),
    gateway: Schema.NullOr(Address),
    state: State,
    revision: count,
  }),
) {}

/**
 * A pool with its counts as of the call; `held` includes addresses that go back to reserved, and `free` those that are `draining`,
 * which no automatic request gets. Ranges are in address order. `revision` grows with each change of the pool, its ranges or its
 * reservations; its `state` is `draining` when ranges added later will be, too.
 */
export class Pool extends Schema.Opaque<Pool>()(
  Schema.Struct({
    outcome: Schema.Literals([
      "created",
      "exists",
      "found",
      "updated",
      "added",
      "removed",
      "draining",
      "active",
      "reserved",
      "unreserved",
      "deleted",
    ]),
    vrf: Schema.String,
    name: Schema.String,
    id: count,
    family: Schema.Literals([4, 6]),
    size: count,
    held: count,
    reserved: count,
    cooling: count,
    free: count,
    draining: count,
    cooldownSeconds: Schema.Finite,
    gateway: Schema.String,
    includeNetworkAddresses: Schema.Boolean,
    state: State,
    description: Schema.NullOr(Schema.String),
    revision: count,
    ranges: Schema.Array(PoolRange),
    createdAt: Time,
  }),
) {}

/**
 * What is never handed out automatically, both ends inclusive. `network` and `gateway` come with a range and go with it; `requested`
 * ones are made by `reserve`, with a reason where one was given.
 */
export class Reservation extends Schema.Opaque<Reservation>()(
  Schema.Struct({
    first: Address,
    last: Address,
    kind: Schema.Literals(["network", "gateway", "requested"]),
    reason: Schema.NullOr(Schema.String),
  }),
) {}
