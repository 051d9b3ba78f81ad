/**
 * What the calls on allocations take, with every bound that can be checked before the database is asked. Pure.
 *
 * Each schema reads what a caller writes (its `Encoded`: what has a default may be left out or `undefined`) and gives the
 * canonical request (its `Type`): lower-case UUIDs, canonical addresses, defaults filled in. Read them with `decodeInput`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Address, Prefix, Unit } from "../domain/addressSchema.ts"
import { Name, Owner, PoolRef, RequestId, Slot, TtlSeconds, Vrf } from "../domain/identity.ts"
import { quickReaderOf, withQuickReader } from "../domain/quickReader.ts"

/** The most slots of one call: of one pool, and without addresses. */
export const MAX_SLOTS = 65_536

/** The most slots of one call that asks for addresses, or is of several pools. */
export const MAX_MIXED_SLOTS = 256

/** A flag, `false` when left out. */
export const Flag = withQuickReader(Schema.Boolean.pipe(Schema.withDecodingDefault(Effect.succeed(false))), (value) =>
  typeof value === "boolean" ? value : undefined,
)

/** What may be left out, and is otherwise read as quickly as what may not. */
const optional = <S extends Schema.Constraint>(schema: S): Schema.optional<S> =>
  withQuickReader(Schema.optional(schema), quickReaderOf(schema))

// What an editor shows at a call are the comments of these fields. Declarations keep them for fields of the same file, and where
// fields are spread only if these are readonly.
// Schemas of requests and answers are classes, which declarations name; others they would spell out, without the comments.

const ofRequest = {
  /** The scope of uniqueness, 1 to 200 characters; `default` when left out, never a search. */
  vrf: Vrf,
  /** A UUID, not the nil one, chosen before the first attempt and the same in every other; in a saga the operation's id. */
  requestId: RequestId,
} as const

const ofKey = {
  ...ofRequest,
  /** Which address of the request, e.g. `eth0/v4`: 1 to 200 characters; `default` when left out. */
  slot: Slot,
} as const

const wanted = {
  /** The name of the pool to draw from, or its id: digits alone. */
  pool: PoolRef,
  /** This address and no other, e.g. `10.0.0.5` or `2001:db8::5`; the pool chooses when it is left out. */
  address: optional(Address),
} as const

const takes = {
  /** Who holds it, in the caller's words: each part 1 to 200 characters, and no slash in the kind. */
  owner: optional(Owner),
  /**
   * For how many seconds it is held unless it is confirmed: more than 0, fractions count, at most 3155760000 (a hundred years).
   * Left out, it is confirmed at once.
   */
  ttlSeconds: optional(TtlSeconds),
  /** Takes `address` even where it is reserved; `false` when left out. */
  allowReserved: Flag,
  /** Takes `address` even where its cooldown has not passed; `false` when left out. */
  allowCooling: Flag,
  /** Takes `address` even where its range is draining; `false` when left out. */
  allowDraining: Flag,
} as const

const extension = {
  /** The new ttl in seconds, from the server's now on; bounds as in `allocate`. */
  ttlSeconds: TtlSeconds,
} as const

/** One address of a pool: the next one, or `address`. Provisional when it has a ttl. */
export class AllocateRequest extends Schema.Opaque<AllocateRequest>()(
  Schema.Struct({ ...ofKey, ...wanted, ...takes }),
) {}

const slotsRule = (slots: ReadonlyArray<string>): Schema.FilterOutput => {
  if (slots.length === 0) return "must name at least one slot"
  if (slots.length > MAX_SLOTS) return `must have at most ${MAX_SLOTS} slots, not ${slots.length}`
  const seen = new Set<string>()
  const twice = slots.findIndex((slot) => seen.size === seen.add(slot).size)
  return twice === -1 ? undefined : { path: [twice], issue: "names a slot that is there already" }
}

interface Wanted {
  readonly slot: string
  readonly pool: string
  readonly address?: string | undefined
}

const wantedRule = (slots: ReadonlyArray<Wanted>): Schema.FilterOutput =>
  slots.length > MAX_MIXED_SLOTS && slots.some(({ pool, address }) => pool !== slots[0]?.pool || address !== undefined)
    ? `must have at most ${MAX_MIXED_SLOTS} slots, unless all are of one pool and none asks for an address`
    : slotsRule(slots.map(({ slot }) => slot))

/**
 * Several addresses, all or none, of one or several pools and families: 1 to 256 slots, each once, or up to 65,536 of one pool without
 * addresses.
 */
export class AllocateManyRequest extends Schema.Opaque<AllocateManyRequest>()(
  Schema.Struct({
    ...ofRequest,
    /** 1 to 256 slots, each once; up to 65,536 of one pool without addresses. */
    slots: Schema.Array(
      Schema.Struct({
        /** e.g. `eth0/v4`: 1 to 200 characters. */
        slot: Name,
        ...wanted,
      }),
    ).check(Schema.makeFilter(wantedRule)),
    ...takes,
  }),
) {}

const ofSlots = {
  ...ofRequest,
  /** The names of 1 to 65,536 slots, each once. */
  slots: Schema.Array(Name).check(Schema.makeFilter(slotsRule)),
} as const

/** One key: for confirm, release and get. */
export class KeyRequest extends Schema.Opaque<KeyRequest>()(Schema.Struct(ofKey)) {}

/** Several slots of one request, 1 to 65,536, each once: for `confirmMany` and `releaseMany`. */
export class KeysRequest extends Schema.Opaque<KeysRequest>()(Schema.Struct(ofSlots)) {}

/** A key and its new ttl, from the server's now on. */
export class ExtendRequest extends Schema.Opaque<ExtendRequest>()(Schema.Struct({ ...ofKey, ...extension })) {}

/** Several slots and their new ttl. */
export class ExtendManyRequest extends Schema.Opaque<ExtendManyRequest>()(
  Schema.Struct({ ...ofSlots, ...extension }),
) {}

/** All slots of a request: for `releaseAll`. */
export class ReleaseAllRequest extends Schema.Opaque<ReleaseAllRequest>()(Schema.Struct(ofRequest)) {}

/** A whole number from the one to the other, both included. */
export const between = (minimum: number, maximum: number) =>
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

/** What one call reclaims at most, and where. */
export class ReclaimRequest extends Schema.Opaque<ReclaimRequest>()(
  Schema.Struct({
    /** Only of this VRF; of all when left out. */
    vrf: Schema.optional(Name),
    /** 1 to 10000; a thousand when left out. */
    maxRows: Rows,
  }),
) {}

const filters = ["pool", "requestId", "owner", "address", "prefix"] as const

/** Allocations by one of pool, request, owner, address or prefix, or all of a VRF, or of all of them. */
export class ListRequest extends Schema.Opaque<ListRequest>()(
  Schema.Struct({
    /** Left out: all VRFs for an owner or an address, else `default`. */
    vrf: Schema.optional(Name),
    /** What the pool of this name or id holds. */
    pool: Schema.optional(PoolRef),
    /** The keys of this UUID, tombstones too. */
    requestId: Schema.optional(RequestId),
    /** What this owner holds. */
    owner: Schema.optional(Owner),
    /** Who holds this address, e.g. `10.0.0.5`. */
    address: Schema.optional(Address),
    /** What is held inside a prefix without host bits, e.g. `10.0.0.0/24`. */
    prefix: Schema.optional(Prefix),
    /** Without any of these filters: what is held in all VRFs, and not in one. `false` when left out. */
    allVrfs: Flag,
    /** The last of the page before: its vrf, address and slot. */
    after: Schema.optional(
      Schema.Struct({ vrf: Schema.optional(Name), address: Schema.optional(Unit), slot: Schema.optional(Name) }),
    ),
    /** One page of at most so many, 1 to 10000. Left out: everything, read in pages of a thousand. */
    pageSize: Rows,
  }).check(
    Schema.makeFilter(
      (
        request: { readonly [Filter in (typeof filters)[number] | "vrf"]?: unknown } & { readonly allVrfs: boolean },
      ) => {
        const named = filters.filter((filter) => request[filter] !== undefined)
        if (named.length > 1) return { path: [named[1] ?? ""], issue: `cannot go together with ${named[0]}` }
        if (!request.allVrfs) return undefined
        const other = request.vrf === undefined ? named[0] : "vrf"
        return other === undefined ? undefined : { path: ["allVrfs"], issue: `cannot go together with ${other}` }
      },
    ),
  ),
) {}

/** An address to be described. */
export class AddressRequest extends Schema.Opaque<AddressRequest>()(
  Schema.Struct({
    /** Only in this VRF; in all when left out. */
    vrf: Schema.optional(Name),
    address: Address,
  }),
) {}
