/**
 * The calls on pools, their ranges and their reservations.
 *
 * The comment of each call is what an editor shows at the service's method and at that of `saga-ipam/promise`, and what the
 * reference says.
 */
import * as Schema from "effect/Schema"
import {
  AddressOutside,
  NotFound,
  PoolExists,
  PoolInUse,
  RangeInUse,
  RangeOverlaps,
  UnknownPool,
  UnknownVrf,
} from "../errors/errors.ts"
import { Holder } from "../errors/poolErrors.ts"
import { anyRows, byOutcome, byVrf, call, gives, oneRow, partOf, refuses } from "./call.ts"
import { Pool, Reservation } from "./pool.ts"
import {
  AddRangeRequest,
  CreatePoolRequest,
  DrainRequest,
  ListPoolsRequest,
  ListReservationsRequest,
  PoolRangeRequest,
  PoolRequest,
  ReserveRequest,
  UpdatePoolRequest,
} from "./poolRequests.ts"
import { arrayLiteral, fieldsIn, reader, type Columns, type Row } from "./row.ts"

/** The columns of `ipam.pool_answer`. */
export const poolColumns = {
  outcome: "text",
  vrf: "text",
  pool_id: "bigint",
  name: "text",
  family: "integer",
  size: "numeric",
  held: "numeric",
  reserved: "numeric",
  cooling: "numeric",
  free: "numeric",
  cooldown_seconds: "double precision",
  gateway: "text",
  include_network_addresses: "boolean",
  ranges: "jsonb",
  created_at: "timestamp with time zone",
  detail: "jsonb",
  draining: "numeric",
  state: "text",
  description: "text",
  revision: "bigint",
} satisfies Columns
const reservationColumns = {
  outcome: "text",
  first: "inet",
  last: "inet",
  kind: "text",
  reason: "text",
  detail: "jsonb",
} satisfies Columns

const readPool = reader("a pool", Pool)
const poolFields = fieldsIn(poolColumns)
const toPool = (row: Row): Pool => readPool({ ...poolFields(row), id: row["pool_id"] })
const toReservation = reader("a reservation", Reservation)

interface AskedPool {
  readonly vrf: string
  readonly pool: string
}
interface AskedRange extends AskedPool {
  readonly range?: string | undefined
}

const elsewhereIn = reader("an unknown pool", Schema.Struct({ vrfs: Schema.Array(Schema.String) }))
const overlapIn = reader(
  "an overlap",
  Schema.Struct({ vrf: Schema.String, pool: Schema.String, first: Schema.String, last: Schema.String }),
)
const useIn = reader("what is in use", Schema.Struct({ held: Schema.BigIntFromString, holders: Schema.Array(Holder) }))
const differenceIn = reader("what differs", Schema.Struct({ differs: Schema.Array(Schema.String) }))

/** The parts of a definition that a request calls otherwise. */
const fieldOf: Readonly<Record<string, string>> = {
  cooldown: "cooldownSeconds",
  networkAddresses: "includeNetworkAddresses",
}

const unknown_pool = refuses(UnknownPool, (row, { vrf, pool }: AskedPool) => ({
  vrf,
  pool,
  vrfs: elsewhereIn(row["detail"]).vrfs,
}))
const notFound = (what: string) =>
  refuses(NotFound, (_, { vrf, pool, range }: AskedRange) => ({ what, vrf, pool, range }))
const pool = gives(toPool)

const draining = (drains: boolean) =>
  call("set_draining", {
    role: "operator",
    request: DrainRequest,
    parameters: { vrf: "text", pool: "text", range: "text", draining: ["boolean", () => drains] },
    answer: oneRow(
      poolColumns,
      byOutcome({ draining: pool, active: pool, not_found: notFound("range"), unknown_pool }),
    ),
  })

export const poolCalls = {
  /** A new pool, and its vrf with it. The same definition again answers the pool as it is (`exists`). */
  createPool: call("create_pool", {
    role: "operator",
    request: CreatePoolRequest,
    parameters: {
      vrf: "text",
      name: "text",
      ranges: ["text[]", ({ ranges }) => arrayLiteral(ranges)],
      reserve: ["text[]", ({ reserve }) => arrayLiteral(reserve)],
      gateway: "text",
      cooldown_seconds: "double precision",
      include_network_addresses: "boolean",
      description: "text",
    },
    answer: oneRow(
      poolColumns,
      byOutcome({
        created: pool,
        exists: pool,
        pool_exists: refuses(PoolExists, (row, { vrf, name }: typeof CreatePoolRequest.Type) => ({
          vrf,
          pool: name,
          differs: differenceIn(row["detail"]).differs.map((part) => fieldOf[part] ?? part),
        })),
        range_overlaps: refuses(RangeOverlaps, (row, { vrf, name }: typeof CreatePoolRequest.Type) => ({
          vrf,
          pool: name,
          other: overlapIn(row["detail"]),
        })),
      }),
    ),
  }),
  /** The pool with its ranges and counts. */
  getPool: call("get_pool", {
    role: "reader",
    request: PoolRequest,
    parameters: { vrf: "text", pool: "text" },
    answer: oneRow(poolColumns, byOutcome({ found: pool, unknown_pool })),
  }),
  /** All pools of a vrf, or of all, by vrf and name; with `pageSize` one page, and `after` for the next. */
  listPools: call("list_pools", {
    role: "reader",
    request: ListPoolsRequest,
    parameters: {
      vrf: "text",
      after_vrf: ["text", ({ after }) => after?.vrf],
      after_name: ["text", ({ after }) => after?.name],
      page_size: "integer",
    },
    answer: anyRows(poolColumns, byOutcome({ found: pool })),
    everywhere: byVrf,
  }),
  /** Changes name, cooldown, gateway or description. */
  updatePool: call("update_pool", {
    role: "operator",
    request: UpdatePoolRequest,
    parameters: {
      vrf: "text",
      pool: "text",
      name: "text",
      cooldown_seconds: "double precision",
      gateway: "text",
      description: "text",
    },
    answer: oneRow(
      poolColumns,
      byOutcome({
        updated: pool,
        // Another pool has the new name.
        pool_exists: refuses(PoolExists, (_, asked: typeof UpdatePoolRequest.Type) => ({
          vrf: asked.vrf,
          pool: asked.name ?? asked.pool,
          differs: [],
        })),
        unknown_pool,
      }),
    ),
  }),
  /** Ends the pool and frees its name, unless any of its addresses is held. */
  deletePool: call("delete_pool", {
    role: "operator",
    request: PoolRequest,
    parameters: { vrf: "text", pool: "text" },
    answer: oneRow(
      poolColumns,
      byOutcome({
        deleted: pool,
        pool_in_use: refuses(PoolInUse, (row, { vrf, pool }: AskedPool) => ({ vrf, pool, ...useIn(row["detail"]) })),
        unknown_pool,
      }),
    ),
    repeatable: false,
  }),
  /** One range more; the same range again changes nothing. */
  addRange: call("add_range", {
    role: "operator",
    request: AddRangeRequest,
    parameters: {
      vrf: "text",
      pool: "text",
      range: "text",
      include_network_addresses: "boolean",
      gateway: "text",
    },
    answer: oneRow(
      poolColumns,
      byOutcome({
        added: pool,
        exists: pool,
        range_overlaps: refuses(RangeOverlaps, (row, { vrf, pool }: AskedPool) => ({
          vrf,
          pool,
          other: overlapIn(row["detail"]),
        })),
        unknown_pool,
      }),
    ),
  }),
  /**
   * Removes a range or any part of one, unless any of its addresses is held. What is left of it keeps its prefix length, its gateway
   * and its reservations.
   */
  removeRange: call("remove_range", {
    role: "operator",
    request: PoolRangeRequest,
    parameters: { vrf: "text", pool: "text", range: "text" },
    answer: oneRow(
      poolColumns,
      byOutcome({
        removed: pool,
        not_found: notFound("range"),
        range_in_use: refuses(RangeInUse, (row, { vrf, pool, range }: typeof PoolRangeRequest.Type) => ({
          vrf,
          pool,
          range,
          ...useIn(row["detail"]),
        })),
        unknown_pool,
      }),
    ),
    repeatable: false,
  }),
  /** Allocates nothing automatically from a pool or a range any more; what is held stays, and explicit requests may ask for it. */
  drain: draining(true),
  /** Ends a drain. */
  undrain: draining(false),
  /** Keeps addresses from being handed out automatically. Those that are held stay held, and go to reserved when released. */
  reserve: call("reserve", {
    role: "operator",
    request: ReserveRequest,
    parameters: { vrf: "text", pool: "text", range: "text", reason: "text" },
    answer: oneRow(
      poolColumns,
      byOutcome({
        reserved: pool,
        address_outside: refuses(AddressOutside, (_, { vrf, pool, range }: typeof ReserveRequest.Type) => ({
          vrf,
          pool,
          address: range,
        })),
        unknown_pool,
      }),
    ),
  }),
  /** Lifts what was reserved of a span; what lies outside of it stays. `NotFound`: nothing there was. */
  unreserve: call("unreserve", {
    role: "operator",
    request: PoolRangeRequest,
    parameters: { vrf: "text", pool: "text", range: "text" },
    answer: oneRow(poolColumns, byOutcome({ unreserved: pool, not_found: notFound("reservation"), unknown_pool })),
    repeatable: false,
  }),
  /** All reservations of a pool, in the order of addresses; with `pageSize` one page, and `after` for the next. They may overlap. */
  listReservations: call("list_reservations", {
    role: "reader",
    request: ListReservationsRequest,
    parameters: {
      vrf: "text",
      pool: "text",
      after_first: ["inet", ({ after }) => after?.first],
      after_last: ["inet", ({ after }) => after?.last],
      after_kind: ["text", ({ after }) => after?.kind],
      page_size: "integer",
    },
    answer: anyRows(reservationColumns, byOutcome({ found: gives(toReservation), unknown_pool })),
  }),
}

type PoolCallsDeclared = typeof poolCalls
/** Their type under a name of its own, since declarations that spell it out lose the comments above. */
export interface PoolCalls extends PoolCallsDeclared {}

/** Whether there is a VRF of that name: reads that find nothing ask, since it may be mistyped. */
export const checkVrf = partOf<{ readonly vrf: string }>()("vrf_known", {
  role: "reader",
  parameters: { vrf: "text" },
  answer: oneRow(
    { vrf_known: "boolean" },
    byOutcome(
      { true: gives(() => undefined), false: refuses(UnknownVrf, (_, { vrf }: { readonly vrf: string }) => ({ vrf })) },
      "vrf_known",
    ),
  ),
})
