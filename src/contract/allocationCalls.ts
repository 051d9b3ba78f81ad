/**
 * The calls on keys: allocating, holding, releasing, and reading what is held.
 *
 * The comment of each call is what an editor shows at the service's method and at that of `saga-ipam/promise`, and what the
 * reference says.
 */
import * as Schema from "effect/Schema"
import { DEFAULT } from "../domain/identity.ts"
import { Time } from "../domain/time.ts"
import {
  AddressCooling,
  AddressDraining,
  AddressOutside,
  AddressReserved,
  AddressTaken,
  AllocationExpired,
  Drifted,
  KeyExpired,
  KeyReleased,
  KeyReused,
  NotFound,
  OperationEnded,
  PoolExhausted,
  UnknownPool,
} from "../errors/errors.ts"
import type { FreeAddress } from "./allocation.ts"
import {
  answerColumns,
  releaseDetailOf,
  toAllocation,
  toFreeAddress,
  toKeyRecord,
  toReleased,
} from "./allocationRows.ts"
import {
  anyRows,
  apart,
  atMostOneRow,
  byOutcome,
  byVrf,
  call,
  choice,
  gives,
  oneRow,
  oneRowASlot,
  partOf,
  refuses,
  unambiguousRow,
  withheld,
} from "./call.ts"
import {
  AddressRequest,
  AllocateManyRequest,
  AllocateRequest,
  ExtendManyRequest,
  ExtendRequest,
  KeyRequest,
  KeysRequest,
  ListRequest,
  ReclaimRequest,
  ReleaseAllRequest,
} from "./requests.ts"
import { arrayLiteral, reader, textOf, type Row } from "./row.ts"

/** What one slot asked for; `many` when it has siblings, so that its error names it. */
interface AskedSlot {
  readonly vrf: string
  readonly requestId: string
  readonly slot: string
  readonly pool: string
  readonly address?: string | undefined
  readonly many?: true
}
interface AskedKey {
  readonly vrf: string
  readonly requestId: string
  readonly slot: string
}

const keyOf = ({ vrf, requestId, slot }: AskedKey) => ({ vrf, requestId, slot })

/** Where an address would have come from; a slot that has no siblings needs no name. */
const placeOf = (row: Row, { vrf, pool, slot, many }: AskedSlot) => ({
  vrf,
  pool: textOf(row, "pool") ?? pool,
  slot: many === undefined ? undefined : slot,
})
const addressOf = (row: Row, asked: AskedSlot) => ({
  ...placeOf(row, asked),
  address: asked.address ?? textOf(row, "address") ?? "",
})

const count = Schema.BigIntFromString
const exhaustionIn = reader(
  "an exhaustion",
  Schema.Struct({
    held: count,
    expired: count,
    cooling: count,
    reserved: count,
    draining: count,
    size: count,
    at: Time,
    nextFreeAt: Schema.NullOr(Time),
  }),
)
const holderIn = reader(
  "a holder",
  Schema.Struct({ heldBy: Schema.NullOr(Schema.Struct({ kind: Schema.String, id: Schema.String })) }),
)
const cooldownIn = reader("a cooldown", Schema.Struct({ until: Time }))
const elsewhereIn = reader("an unknown pool", Schema.Struct({ vrfs: Schema.Array(Schema.String) }))
const differenceIn = reader("a reused key", Schema.Struct({ differs: Schema.Array(Schema.String) }))
const endIn = reader("an ended operation", Schema.Struct({ status: Schema.String }))
const driftIn = reader("a drift", Schema.Struct({ address: Schema.String }))

/** An address that lies in no range. */
const outside = ({ vrf, address }: typeof AddressRequest.Type): FreeAddress => ({
  outcome: "outside",
  address,
  vrf: vrf ?? null,
  pool: null,
  prefixLength: null,
  gateway: null,
  until: null,
  lastOwner: null,
  draining: false,
  reservations: [],
})

const allocated = byOutcome({
  allocated: gives(toAllocation),
  replayed: gives(toAllocation),
  withheld,
  exhausted: refuses(PoolExhausted, (row, asked: AskedSlot) => ({
    ...placeOf(row, asked),
    ...exhaustionIn(row["detail"]),
  })),
  address_taken: refuses(AddressTaken, (row, asked: AskedSlot) => ({
    ...addressOf(row, asked),
    ...holderIn(row["detail"]),
  })),
  address_cooling: refuses(AddressCooling, (row, asked: AskedSlot) => ({
    ...addressOf(row, asked),
    ...cooldownIn(row["detail"]),
  })),
  address_reserved: refuses(AddressReserved, addressOf),
  address_draining: refuses(AddressDraining, addressOf),
  address_outside: refuses(AddressOutside, addressOf),
  unknown_pool: refuses(UnknownPool, (row, asked: AskedSlot) => ({
    ...placeOf(row, asked),
    pool: asked.pool,
    ...elsewhereIn(row["detail"]),
  })),
  key_reused: refuses(KeyReused, (row, asked: AskedSlot) => ({ ...keyOf(asked), ...differenceIn(row["detail"]) })),
  key_released: refuses(KeyReleased, (row, asked: AskedSlot) => ({
    ...keyOf(asked),
    ...releaseDetailOf(row["detail"]),
  })),
  key_expired: refuses(KeyExpired, (_, asked: AskedSlot) => keyOf(asked)),
  operation_ended: refuses(OperationEnded, (row, asked: AskedSlot) => ({ ...keyOf(asked), ...endIn(row["detail"]) })),
  drifted: refuses(Drifted, (row, asked: AskedSlot) => {
    const { vrf, pool, slot } = placeOf(row, asked)
    const detail = `${driftIn(row["detail"]).address} is free and held at once`
    return { findings: [{ check: "free and held", vrf, pool, detail, repair: null }], slot }
  }),
})

const notHeld = {
  withheld,
  not_found: refuses(NotFound, (_, asked: AskedKey) => ({ what: "allocation", ...keyOf(asked) })),
  expired: refuses(AllocationExpired, (row, asked: AskedKey) => ({
    ...keyOf(asked),
    releasedAt: releaseDetailOf(row["detail"]).releasedAt,
  })),
  key_released: refuses(KeyReleased, (row, asked: AskedKey) => ({
    ...keyOf(asked),
    ...releaseDetailOf(row["detail"]),
  })),
} as const
const confirmed = byOutcome({ confirmed: gives(toAllocation), ...notHeld })
const extended = byOutcome({ extended: gives(toAllocation), ...notHeld })

const released = byOutcome({ released: gives(toReleased), already_released: gives(toReleased) })
const known = { held: gives(toKeyRecord), released: gives(toKeyRecord) }

const slotsOf = ({ vrf, requestId, slots }: typeof KeysRequest.Type) =>
  slots.map((slot): AskedKey => ({ vrf, requestId, slot }))

const keysTogether = { shared: ["vrf"], lists: { request_ids: "request_id", slots: "slot" } } as const
const keyParameters = { vrf: "text", request_id: "uuid", slot: "text" } as const
const slotsParameters = {
  vrf: "text",
  request_id: "uuid",
  slots: ["text[]", ({ slots }: typeof KeysRequest.Type) => arrayLiteral(slots)],
} as const

/** How an allocation is to be held, of one slot or of several. */
type HoldOptions = Pick<typeof AllocateRequest.Type, "owner">
const holdParameters = {
  owner_kind: ["text", ({ owner }: HoldOptions) => owner?.kind],
  owner_id: ["text", ({ owner }: HoldOptions) => owner?.id],
  ttl_seconds: "double precision",
  allow_reserved: "boolean",
  allow_cooling: "boolean",
  allow_draining: "boolean",
  max_wait_seconds: ["double precision", (_: HoldOptions, waitSeconds: number) => waitSeconds],
} as const

type Listing = typeof ListRequest.Type
const pageSize = { page_size: "integer" } as const
const inOneVrf = ["text", ({ vrf = DEFAULT }: Listing) => vrf] as const
const afterVrf = ["text", ({ after }: Listing) => after?.vrf] as const
const afterAddress = ["inet", ({ after }: Listing) => after?.address] as const
const list = partOf<Listing>()
const listed = anyRows(answerColumns, byOutcome(known))

/** Pages go by key, never by offset, so that what is allocated or released meanwhile neither hides nor repeats what stays. */
const lists = {
  byPool: list("list_by_pool", {
    role: "reader",
    parameters: { vrf: inOneVrf, pool: "text", after_address: afterAddress, ...pageSize },
    answer: anyRows(
      answerColumns,
      byOutcome({
        ...known,
        unknown_pool: refuses(UnknownPool, (row, { vrf = DEFAULT, pool = "" }: Listing) => ({
          vrf,
          pool,
          ...elsewhereIn(row["detail"]),
        })),
      }),
    ),
  }),
  byRequest: list("list_by_request", {
    role: "reader",
    parameters: { vrf: inOneVrf, request_id: "uuid", after_slot: ["text", ({ after }) => after?.slot], ...pageSize },
    answer: listed,
  }),
  byOwner: list("list_by_owner", {
    role: "reader",
    parameters: {
      vrf: "text",
      owner_kind: ["text", ({ owner }) => owner?.kind],
      owner_id: ["text", ({ owner }) => owner?.id],
      after_vrf: afterVrf,
      after_address: afterAddress,
      ...pageSize,
    },
    answer: listed,
    everywhere: byVrf,
  }),
  byAddress: list("list_by_address", {
    role: "reader",
    parameters: { vrf: "text", address: "inet", after_vrf: afterVrf, ...pageSize },
    answer: listed,
    everywhere: byVrf,
  }),
  byPrefix: list("list_by_prefix", {
    role: "reader",
    parameters: { vrf: inOneVrf, prefix: "inet", after_address: afterAddress, ...pageSize },
    answer: listed,
  }),
  ofVrf: list("list_all", {
    role: "reader",
    parameters: { vrf: inOneVrf, after_vrf: afterVrf, after_address: afterAddress, ...pageSize },
    answer: listed,
  }),
  ofAllVrfs: list("list_all", {
    role: "reader",
    parameters: { vrf: ["text", () => null], after_vrf: afterVrf, after_address: afterAddress, ...pageSize },
    answer: listed,
    everywhere: byVrf,
  }),
}

export const allocationCalls = {
  /** One address of a pool for a key: the lowest free one when nobody competes, or the one asked for. */
  allocate: call("allocate", {
    role: "allocator",
    request: AllocateRequest,
    parameters: { vrf: "text", pool: "text", request_id: "uuid", slot: "text", address: "inet", ...holdParameters },
    answer: oneRow(answerColumns, allocated),
    batch: {
      sqlName: "allocate_batch",
      shared: ["vrf", "pool"],
      lists: {
        request_ids: "request_id",
        slots: "slot",
        owner_kinds: "owner_kind",
        owner_ids: "owner_id",
        ttls: "ttl_seconds",
      },
      // One that waits for addresses waits in its own call.
      only: { address: null, max_wait_seconds: 0 },
    },
  }),
  /** Several, all or none, in the order asked. Fails with the first refusal, which names its slot. */
  allocateMany: call("allocate_many", {
    role: "allocator",
    request: AllocateManyRequest,
    parameters: {
      vrf: "text",
      request_id: "uuid",
      slots: ["text[]", ({ slots }) => arrayLiteral(slots.map((one) => one.slot))],
      pools: ["text[]", ({ slots }) => arrayLiteral(slots.map((one) => one.pool))],
      addresses: ["inet[]", ({ slots }) => arrayLiteral(slots.map((one) => one.address ?? null))],
      ...holdParameters,
    },
    answer: oneRowASlot(answerColumns, allocated, ({ vrf, requestId, slots }: typeof AllocateManyRequest.Type) =>
      slots.map((one): AskedSlot => ({ vrf, requestId, ...one, many: true })),
    ),
  }),
  /** Makes a provisional allocation stay, even past its ttl as long as it was not reclaimed. */
  confirm: call("confirm", {
    role: "allocator",
    request: KeyRequest,
    parameters: keyParameters,
    answer: oneRow(answerColumns, confirmed),
    batch: { sqlName: "confirm_batch", ...keysTogether },
  }),
  /** Several slots of one request, all or none. */
  confirmMany: call("confirm_many", {
    role: "allocator",
    request: KeysRequest,
    parameters: slotsParameters,
    answer: oneRowASlot(answerColumns, confirmed, slotsOf),
  }),
  /** A new ttl from the server's now on, which may be shorter; a confirmed allocation stays as it is. */
  extend: call("extend", {
    role: "allocator",
    request: ExtendRequest,
    parameters: { ...keyParameters, ttl_seconds: "double precision" },
    answer: oneRow(answerColumns, extended),
  }),
  /** Several slots of one request, all or none. */
  extendMany: call("extend_many", {
    role: "allocator",
    request: ExtendManyRequest,
    parameters: { ...slotsParameters, ttl_seconds: "double precision" },
    answer: oneRowASlot(answerColumns, extended, slotsOf),
  }),
  /** Gives the address back, and permanently fences the key, whether it was seen before or not. Refuses nothing. */
  release: call("release", {
    role: "allocator",
    request: KeyRequest,
    parameters: keyParameters,
    answer: oneRow(answerColumns, released),
    batch: { sqlName: "release_batch", ...keysTogether },
  }),
  /** Several slots of one request; a tombstone for each, in the order asked. */
  releaseMany: call("release_many", {
    role: "allocator",
    request: KeysRequest,
    parameters: slotsParameters,
    answer: oneRowASlot(answerColumns, released, slotsOf),
  }),
  /** Every slot of the request that exists. It fences no slot that it has not seen: name those in `releaseMany`. */
  releaseAll: call("release_all", {
    role: "allocator",
    request: ReleaseAllRequest,
    parameters: { vrf: "text", request_id: "uuid" },
    answer: anyRows(answerColumns, released),
  }),
  /**
   * Releases provisional allocations past their ttl, in all VRFs or in one, the oldest of each first. What was released is the
   * answer; fewer than `maxRows`: none are left. Where VRFs have servers of their own, `maxRows` is for each server.
   */
  reclaimExpired: call("reclaim_expired", {
    role: "operator",
    request: ReclaimRequest,
    parameters: { max_rows: "integer", vrf: "text" },
    answer: anyRows(answerColumns, released),
    repeatable: false,
    everywhere: apart,
  }),
  /** What the key is now. `null`: never seen, which is not final, since an allocate may be in flight. */
  get: call("get", {
    role: "reader",
    request: KeyRequest,
    parameters: keyParameters,
    answer: atMostOneRow(answerColumns, byOutcome(known), () => null),
  }),
  /**
   * What is held, by one of pool, request, owner, address or prefix, else in a VRF or in all of them; a request's tombstones too.
   * Everything, read in pages of a thousand that are no common snapshot; with `pageSize` one page, and `after` for the next.
   */
  list: choice(ListRequest, lists, ({ pool, requestId, owner, address, prefix, allVrfs }) => {
    if (pool !== undefined) return lists.byPool
    if (requestId !== undefined) return lists.byRequest
    if (owner !== undefined) return lists.byOwner
    if (address !== undefined) return lists.byAddress
    if (prefix !== undefined) return lists.byPrefix
    return allVrfs ? lists.ofAllVrfs : lists.ofVrf
  }),
  /** What an address is, held or not. Without a vrf it must be held, or lie in a range, in at most one. */
  describeAddress: call("describe_address", {
    role: "reader",
    request: AddressRequest,
    parameters: { vrf: "text", address: "inet" },
    answer: unambiguousRow(
      answerColumns,
      byOutcome({
        held: gives(toAllocation),
        free: gives(toFreeAddress),
        reserved: gives(toFreeAddress),
        cooling: gives(toFreeAddress),
        draining: gives(toFreeAddress),
        uncovered: gives(toFreeAddress),
      }),
      outside,
      (rows, asked: typeof AddressRequest.Type) => ({
        identity: `address ${asked.address}`,
        candidates: rows.map((row) => ({ vrf: String(row["vrf"]), id: String(row["request_id"] ?? row["pool"]) })),
      }),
    ),
    everywhere: byVrf,
  }),
}

type AllocationCallsDeclared = typeof allocationCalls
/** Their type under a name of its own, since declarations that spell it out lose the comments above. */
export interface AllocationCalls extends AllocationCallsDeclared {}
