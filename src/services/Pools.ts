/**
 * Pools and their ranges: what there is to draw from, and how much of it is left.
 *
 * As in `Allocator`, each call is one statement. Creating, adding and reserving may be repeated after `DatabaseUnavailable`;
 * removing, unreserving and deleting are not repeated by themselves, since a second one would find nothing to do.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import type {
  AddressOutside,
  NotFound,
  PoolExists,
  PoolInUse,
  RangeInUse,
  RangeOverlaps,
  UnknownPool,
  UnknownVrf,
} from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import type { Pool, Reservation } from "../contract/pool.ts"
import {
  AddRangeRequest,
  CreatePoolRequest,
  DrainRequest,
  ListPoolsRequest,
  PoolRangeRequest,
  PoolRequest,
  ReserveRequest,
  UpdatePoolRequest,
} from "../contract/poolRequests.ts"
import { arrayLiteral } from "../database/connection.ts"
import { Database, type Row, type Statement } from "../database/Database.ts"
import type { CallError } from "./Allocator.ts"
import { method } from "./metrics.ts"
import {
  readAdded,
  readCreated,
  readDeleted,
  readDraining,
  readFound,
  readRemoved,
  readReservations,
  readReserved,
  readUnreserved,
  readUpdated,
} from "./poolRefusals.ts"
import { onlyRow, toPool } from "./rows.ts"
import * as statements from "./allocatorStatements.ts"
import { vrfChecker } from "./checkVrf.ts"

type PoolRefusal = UnknownPool | NotFound | RangeInUse
type Answer<Refusal> = Effect.Effect<Pool, Refusal | CallError>

export class Pools extends Context.Service<
  Pools,
  {
    /** A new pool, and its vrf with it. The same definition again answers the pool as it is (`exists`). */
    readonly createPool: (request: typeof CreatePoolRequest.Encoded) => Answer<PoolExists | RangeOverlaps>
    /** The pool with its ranges and counts. */
    readonly getPool: (request: typeof PoolRequest.Encoded) => Answer<UnknownPool>
    /** All pools of a vrf, or of all, by vrf and name. */
    readonly listPools: (
      request?: typeof ListPoolsRequest.Encoded,
    ) => Effect.Effect<ReadonlyArray<Pool>, UnknownVrf | CallError>
    /** One range more; the same range again changes nothing. */
    readonly addRange: (request: typeof AddRangeRequest.Encoded) => Answer<UnknownPool | RangeOverlaps>
    /**
     * Removes a range or any part of one, unless any of its addresses is held. What is left of it keeps its prefix length, its gateway
     * and its reservations.
     */
    readonly removeRange: (request: typeof PoolRangeRequest.Encoded) => Answer<UnknownPool | NotFound | RangeInUse>
    /** Allocates nothing automatically from a pool or a range any more; what is held stays, and explicit requests may ask for it. */
    readonly drain: (request: typeof DrainRequest.Encoded) => Answer<UnknownPool | NotFound>
    /** Ends a drain. */
    readonly undrain: (request: typeof DrainRequest.Encoded) => Answer<UnknownPool | NotFound>
    /** Keeps addresses from being handed out automatically. Those that are held stay held, and go to reserved when released. */
    readonly reserve: (request: typeof ReserveRequest.Encoded) => Answer<UnknownPool | AddressOutside>
    /** Lifts what was reserved of a span; what lies outside of it stays. `NotFound`: nothing there was. */
    readonly unreserve: (request: typeof PoolRangeRequest.Encoded) => Answer<UnknownPool | NotFound>
    /** All reservations of a pool, in the order of addresses. They may overlap. */
    readonly listReservations: (
      request: typeof PoolRequest.Encoded,
    ) => Effect.Effect<ReadonlyArray<Reservation>, UnknownPool | CallError>
    /** Changes name, cooldown, gateway or description. */
    readonly updatePool: (request: typeof UpdatePoolRequest.Encoded) => Answer<UnknownPool | PoolExists>
    /** Ends the pool and frees its name, unless any of its addresses is held. */
    readonly deletePool: (request: typeof PoolRequest.Encoded) => Answer<UnknownPool | PoolInUse>
  }
>()("saga-ipam/services/Pools") {
  static readonly layer: Layer.Layer<Pools, never, Database> = Layer.effect(
    Pools,
    Effect.suspend(() => make),
  )
}

const decode = {
  create: decodeInput(CreatePoolRequest),
  pool: decodeInput(PoolRequest),
  list: decodeInput(ListPoolsRequest),
  addRange: decodeInput(AddRangeRequest),
  range: decodeInput(PoolRangeRequest),
  reserve: decodeInput(ReserveRequest),
  drain: decodeInput(DrainRequest),
  update: decodeInput(UpdatePoolRequest),
}

const pageSize = 1000

const make = Effect.gen(function* () {
  const { query } = yield* Database
  const checkVrf = vrfChecker(query)

  const createPool = method(
    "Pools.createPool",
    Effect.fnUntraced(function* (input: typeof CreatePoolRequest.Encoded) {
      const request = yield* decode.create(input)
      const { vrf, name } = request
      const rows = yield* query(
        statements.createPool,
        [
          vrf,
          name,
          arrayLiteral(request.ranges),
          arrayLiteral(request.reserve),
          request.gateway,
          request.cooldownSeconds,
          request.includeNetworkAddresses,
          request.description ?? null,
        ],
        { call: "create_pool", vrf, pool: name },
      )
      return yield* Effect.fromResult(readCreated(onlyRow(rows), { vrf, pool: name }))
    }),
  )

  const getPool = method(
    "Pools.getPool",
    Effect.fnUntraced(function* (input: typeof PoolRequest.Encoded) {
      const { vrf, pool } = yield* decode.pool(input)
      const rows = yield* query(statements.getPool, [vrf, pool], { call: "get_pool", vrf, pool })
      return yield* Effect.fromResult(readFound(onlyRow(rows), { vrf, pool }))
    }),
  )

  const listPools = method(
    "Pools.listPools",
    Effect.fnUntraced(function* (input: typeof ListPoolsRequest.Encoded = {}) {
      const { vrf } = yield* decode.list(input)
      const found: Array<Pool> = []
      for (;;) {
        const last = found.at(-1)
        const after = [last?.vrf ?? null, last?.name ?? null]
        const rows = yield* query(statements.listPools, [vrf ?? null, ...after, pageSize], { call: "list_pools", vrf })
        found.push(...rows.map(toPool))
        if (found.length === 0) yield* checkVrf(vrf)
        if (rows.length < pageSize) return found
      }
    }),
  )

  const addRange = method(
    "Pools.addRange",
    Effect.fnUntraced(function* (input: typeof AddRangeRequest.Encoded) {
      const { vrf, pool, range, includeNetworkAddresses, gateway } = yield* decode.addRange(input)
      const parameters = [vrf, pool, range, includeNetworkAddresses ?? null, gateway ?? null]
      const rows = yield* query(statements.addRange, parameters, { call: "add_range", vrf, pool })
      return yield* Effect.fromResult(readAdded(onlyRow(rows), { vrf, pool }))
    }),
  )

  const updatePool = method(
    "Pools.updatePool",
    Effect.fnUntraced(function* (input: typeof UpdatePoolRequest.Encoded) {
      const request = yield* decode.update(input)
      const { vrf, pool, name, cooldownSeconds, gateway, description } = request
      const changes = [name ?? null, cooldownSeconds ?? null, gateway ?? null, description ?? null]
      const rows = yield* query(statements.updatePool, [vrf, pool, ...changes], { call: "update_pool", vrf, pool })
      return yield* Effect.fromResult(readUpdated(onlyRow(rows), request))
    }),
  )

  const draining = (name: string, on: boolean) =>
    method(
      name,
      Effect.fnUntraced(function* (input: typeof DrainRequest.Encoded) {
        const request = yield* decode.drain(input)
        const { vrf, pool, range } = request
        const context = { call: "set_draining", vrf, pool }
        const rows = yield* query(statements.setDraining, [vrf, pool, range ?? null, on], context)
        return yield* Effect.fromResult(readDraining(onlyRow(rows), request))
      }),
    )
  const drain = draining("Pools.drain", true)
  const undrain = draining("Pools.undrain", false)

  const reserve = method(
    "Pools.reserve",
    Effect.fnUntraced(function* (input: typeof ReserveRequest.Encoded) {
      const request = yield* decode.reserve(input)
      const { vrf, pool, range, reason } = request
      const rows = yield* query(statements.reserve, [vrf, pool, range, reason ?? null], { call: "reserve", vrf, pool })
      return yield* Effect.fromResult(readReserved(onlyRow(rows), request))
    }),
  )

  const listReservations = method(
    "Pools.listReservations",
    Effect.fnUntraced(function* (input: typeof PoolRequest.Encoded) {
      const { vrf, pool } = yield* decode.pool(input)
      const found: Array<Reservation> = []
      for (;;) {
        const last = found.at(-1)
        const after = [last?.first ?? null, last?.last ?? null, last?.kind ?? null]
        const context = { call: "list_reservations", vrf, pool }
        const rows = yield* query(statements.listReservations, [vrf, pool, ...after, pageSize], context)
        const page = yield* Effect.fromResult(readReservations(rows, { vrf, pool }))
        found.push(...page)
        if (page.length < pageSize) return found
      }
    }),
  )

  /** The calls that name a range of a pool differ in their function and in what it may refuse. */
  const onRange = <Refusal extends PoolRefusal>(
    name: string,
    statement: Statement,
    call: string,
    read: (row: Row, asked: typeof PoolRangeRequest.Type) => Result.Result<Pool, Refusal>,
  ) =>
    method(
      name,
      Effect.fnUntraced(function* (input: typeof PoolRangeRequest.Encoded) {
        const request = yield* decode.range(input)
        const { vrf, pool, range } = request
        const rows = yield* query(statement, [vrf, pool, range], { call, vrf, pool })
        return yield* Effect.fromResult(read(onlyRow(rows), request))
      }),
    )

  const removeRange = onRange("Pools.removeRange", statements.removeRange, "remove_range", readRemoved)
  const unreserve = onRange("Pools.unreserve", statements.unreserve, "unreserve", readUnreserved)

  const deletePool = method(
    "Pools.deletePool",
    Effect.fnUntraced(function* (input: typeof PoolRequest.Encoded) {
      const { vrf, pool } = yield* decode.pool(input)
      const rows = yield* query(statements.deletePool, [vrf, pool], { call: "delete_pool", vrf, pool })
      return yield* Effect.fromResult(readDeleted(onlyRow(rows), { vrf, pool }))
    }),
  )

  return Pools.of({
    createPool,
    getPool,
    listPools,
    updatePool,
    addRange,
    removeRange,
    drain,
    undrain,
    reserve,
    unreserve,
    listReservations,
    deletePool,
  })
})
