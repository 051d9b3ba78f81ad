/**
 * What the calls on allocations take, with every bound that can be checked before the database is asked. Pure.
 *
 * Each schema reads what a caller writes (its `Encoded`: what has a default may be left out or `undefined`) and gives the
 * canonical request (its `Type`): lower-case UUIDs, canonical addresses, defaults filled in. Read them with `decodeInput`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Address, Prefix, Unit } from "./addressSchema.ts"
import { Name, Owner, PoolRef, RequestId, Slot, TtlSeconds, Vrf } from "./identity.ts"

/** The most slots of one call. */
export const MAX_SLOTS = 256

/** A flag, `false` when left out. */
export const Flag = Schema.Boolean.pipe(Schema.withDecodingDefault(Effect.succeed(false)))

const key = { vrf: Vrf, requestId: RequestId, slot: Slot }

const takes = {
  owner: Schema.optional(Owner),
  ttlSeconds: Schema.optional(TtlSeconds),
  allowReserved: Flag,
  allowCooling: Flag,
}

/** One address of a pool: the next one, or `address`. Provisional when it has a ttl. */
export const AllocateRequest = Schema.Struct({ ...key, pool: PoolRef, address: Schema.optional(Address), ...takes })

const slotsRule = (slots: ReadonlyArray<string>): Schema.FilterOutput => {
  if (slots.length === 0) return "must name at least one slot"
  if (slots.length > MAX_SLOTS) return `must have at most ${MAX_SLOTS} slots, not ${slots.length}`
  const twice = slots.findIndex((slot, index) => slots.indexOf(slot) < index)
  return twice === -1 ? undefined : { path: [twice], issue: "names a slot that is there already" }
}

/** Several addresses, all or none, of one or several pools and families; 1 to 256 slots, each once. */
export const AllocateManyRequest = Schema.Struct({
  vrf: Vrf,
  requestId: RequestId,
  slots: Schema.Array(Schema.Struct({ slot: Name, pool: PoolRef, address: Schema.optional(Address) })).check(
    Schema.makeFilter((slots: ReadonlyArray<{ readonly slot: string }>) => slotsRule(slots.map(({ slot }) => slot))),
  ),
  ...takes,
})

const SlotNames = Schema.Array(Name).check(Schema.makeFilter(slotsRule))

/** One key: for confirm, release and get. */
export const KeyRequest = Schema.Struct(key)

/** Several slots of one request, 1 to 256, each once: for `confirmMany` and `releaseMany`. */
export const KeysRequest = Schema.Struct({ vrf: Vrf, requestId: RequestId, slots: SlotNames })

/** A key and its new ttl, from the server's now on. */
export const ExtendRequest = Schema.Struct({ ...key, ttlSeconds: TtlSeconds })

/** Several slots and their new ttl. */
export const ExtendManyRequest = Schema.Struct({
  vrf: Vrf,
  requestId: RequestId,
  slots: SlotNames,
  ttlSeconds: TtlSeconds,
})

/** All slots of a request: for `releaseAll`. */
export const ReleaseAllRequest = Schema.Struct({ vrf: Vrf, requestId: RequestId })

const between = (minimum: number, maximum: number) =>
  Schema.Number.check(
    Schema.makeFilter((value: number) =>
      Number.isInteger(value) && value >= minimum && value <= maximum
        ? undefined
        : `must be a whole number from ${minimum} to ${maximum}`,
    ),
  )

/** The most rows of one page or of one round of reclaiming; a thousand when left out. */
export const MAX_ROWS = 10_000
export const Rows = between(1, MAX_ROWS).pipe(Schema.withDecodingDefault(Effect.succeed(1000)))

/** How many expired allocations one call reclaims at most. All VRFs without `vrf`. */
export const ReclaimRequest = Schema.Struct({ vrf: Schema.optional(Name), maxRows: Rows })

const filters = ["pool", "requestId", "owner", "address", "prefix"] as const

/**
 * Allocations by exactly one of pool, request, owner, address or prefix. Without a vrf, owner and address look in all VRFs,
 * the others in `default`. `after` is the last of the page before: its vrf, address and slot.
 */
export const ListRequest = Schema.Struct({
  vrf: Schema.optional(Name),
  pool: Schema.optional(PoolRef),
  requestId: Schema.optional(RequestId),
  owner: Schema.optional(Owner),
  address: Schema.optional(Address),
  prefix: Schema.optional(Prefix),
  after: Schema.optional(
    Schema.Struct({ vrf: Schema.optional(Name), address: Schema.optional(Unit), slot: Schema.optional(Name) }),
  ),
  pageSize: Rows,
}).check(
  Schema.makeFilter((request: { readonly [Filter in (typeof filters)[number]]?: unknown }) =>
    filters.filter((filter) => request[filter] !== undefined).length === 1
      ? undefined
      : `must have exactly one of ${filters.join(", ")}`,
  ),
)
