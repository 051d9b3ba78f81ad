/**
 * The verbs on allocations: allocate, confirm, extend, release, reclaim, and the reads of what is held.
 *
 * Each call is one statement, which the database answers by itself; this service reads the input, sends it, and gives outcomes
 * their names. It keeps nothing: the same key from any process gets the same answer. Called again after an error of
 * which `isRepeatable` is true, a call with its key is always right.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { AddressRecord, Allocation, KeyRecord, Released } from "../contract/allocation.ts"
import type { AmbiguousIdentity, UnknownPool, UnknownVrf } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import {
  AllocateManyRequest,
  AllocateRequest,
  ExtendManyRequest,
  ExtendRequest,
  KeyRequest,
  KeysRequest,
  ReclaimRequest,
  ReleaseAllRequest,
} from "../contract/requests.ts"
import type { AddressRequest, ListRequest } from "../contract/requests.ts"
import { arrayLiteral } from "../database/connection.ts"
import { Database, type DatabaseError, type SchemaError } from "../database/Database.ts"
import { method } from "./metrics.ts"
import { makeReading } from "./allocationReads.ts"
import { readAllocate, readHold, readRelease, type AllocateRefusal, type HoldRefusal } from "./allocationRefusals.ts"
import { oneEach, onlyRow } from "./rows.ts"
import * as statements from "./allocatorStatements.ts"
import { atOnce, makeInTurn } from "./waiting.ts"
import { vrfChecker } from "./checkVrf.ts"

/** What every call may fail with besides its own refusals. */
export type CallError = DatabaseError | SchemaError

type Answer<A, Refusal = never> = Effect.Effect<A, Refusal | CallError>

export class Allocator extends Context.Service<
  Allocator,
  {
    /** One address of a pool for a key: the lowest free one when nobody competes, or the one asked for. */
    readonly allocate: (request: typeof AllocateRequest.Encoded) => Answer<Allocation, AllocateRefusal>
    /** Several, all or none, in the order asked. Fails with the first refusal, which names its slot. */
    readonly allocateMany: (
      request: typeof AllocateManyRequest.Encoded,
    ) => Answer<ReadonlyArray<Allocation>, AllocateRefusal>
    /** Makes a provisional allocation stay, even past its ttl as long as it was not reclaimed. */
    readonly confirm: (request: typeof KeyRequest.Encoded) => Answer<Allocation, HoldRefusal>
    /** Several slots of one request, all or none. */
    readonly confirmMany: (request: typeof KeysRequest.Encoded) => Answer<ReadonlyArray<Allocation>, HoldRefusal>
    /** A new ttl from the server's now on, which may be shorter; a confirmed allocation stays as it is. */
    readonly extend: (request: typeof ExtendRequest.Encoded) => Answer<Allocation, HoldRefusal>
    /** Several slots of one request, all or none. */
    readonly extendMany: (request: typeof ExtendManyRequest.Encoded) => Answer<ReadonlyArray<Allocation>, HoldRefusal>
    /** Gives the address back, and bars the key for good, whether it was seen before or not. Refuses nothing. */
    readonly release: (request: typeof KeyRequest.Encoded) => Answer<Released>
    /** Several slots of one request; a tombstone for each, in the order asked. */
    readonly releaseMany: (request: typeof KeysRequest.Encoded) => Answer<ReadonlyArray<Released>>
    /** Every slot of the request that exists. It bars no slot that it has not seen: name those in `releaseMany`. */
    readonly releaseAll: (request: typeof ReleaseAllRequest.Encoded) => Answer<ReadonlyArray<Released>>
    /**
     * Releases provisional allocations past their ttl, in all VRFs or in one, the oldest of each first. What was released is the
     * answer; fewer than `maxRows`: none are left, and then the free extents that releases left in pieces are joined, in all VRFs.
     */
    readonly reclaimExpired: (request?: typeof ReclaimRequest.Encoded) => Answer<ReadonlyArray<Released>, UnknownVrf>
    /** What the key is now. `null`: never seen, which is not final, since an allocate may be under way. */
    readonly get: (request: typeof KeyRequest.Encoded) => Answer<KeyRecord | null>
    /**
     * What is held, by one of pool, request, owner, address or prefix, else in a VRF or in all of them; a request's tombstones too.
     * Everything, read in pages of a thousand that are no common snapshot; with `pageSize` one page, and `after` for the next.
     */
    readonly list: (request?: typeof ListRequest.Encoded) => Answer<ReadonlyArray<KeyRecord>, UnknownPool | UnknownVrf>
    /** Who holds the address. Without a vrf it must be held in at most one. */
    readonly who: (request: {
      readonly vrf?: string | undefined
      readonly address: string
    }) => Answer<KeyRecord | null, AmbiguousIdentity | UnknownVrf>
    /** What an address is, held or not. Without a vrf it must be held, or lie in a range, in at most one. */
    readonly describeAddress: (
      request: typeof AddressRequest.Encoded,
    ) => Answer<AddressRecord, AmbiguousIdentity | UnknownVrf>
  }
>()("saga-ipam/services/Allocator") {
  static readonly layer: Layer.Layer<Allocator, never, Database> = Layer.effect(
    Allocator,
    Effect.suspend(() => make),
  )
}

const decode = {
  allocate: decodeInput(AllocateRequest),
  allocateMany: decodeInput(AllocateManyRequest),
  key: decodeInput(KeyRequest),
  keys: decodeInput(KeysRequest),
  extend: decodeInput(ExtendRequest),
  extendMany: decodeInput(ExtendManyRequest),
  releaseAll: decodeInput(ReleaseAllRequest),
  reclaim: decodeInput(ReclaimRequest),
}

const outcomeOfOne = (answer: Allocation) => [answer.outcome]
const outcomesOfAll = (answers: ReadonlyArray<Allocation>) => answers.map((answer) => answer.outcome)

const byText = (a: string, b: string) => (a < b ? -1 : Number(a > b))

const withheldAlone = new Error("The database withheld slots and refused none")

/** All allocations of a call, or what the first slot that was refused for its own sake was refused for. */
const together = <E>(
  answers: ReadonlyArray<Result.Result<Allocation, E | "withheld">>,
): Effect.Effect<ReadonlyArray<Allocation>, E> => {
  const allocations = answers.filter(Result.isSuccess).map((answer) => answer.success)
  if (allocations.length === answers.length) return Effect.succeed(allocations)
  const refusals = answers.filter(Result.isFailure).map((answer) => answer.failure)
  const refusal = refusals.find((one): one is E => one !== "withheld")
  return refusal === undefined ? Effect.die(withheldAlone) : Effect.fail(refusal)
}

/** The answer to a single slot, which no sibling can withhold. */
const alone = <E>(answer: Result.Result<Allocation, E | "withheld">): Effect.Effect<Allocation, E> => {
  if (Result.isSuccess(answer)) return Effect.succeed(answer.success)
  return answer.failure === "withheld" ? Effect.die(withheldAlone) : Effect.fail(answer.failure)
}

const make = Effect.gen(function* () {
  const { query, inTransactions } = yield* Database
  const inTurn = inTransactions ? atOnce : makeInTurn()
  const checkVrf = vrfChecker(query)

  const takesOf = (request: typeof AllocateRequest.Type | typeof AllocateManyRequest.Type) => [
    request.owner?.kind ?? null,
    request.owner?.id ?? null,
    request.ttlSeconds ?? null,
    request.allowReserved,
    request.allowCooling,
    request.allowDraining,
  ]

  const allocate = method(
    "Allocator.allocate",
    Effect.fnUntraced(function* (input: typeof AllocateRequest.Encoded) {
      const request = yield* decode.allocate(input)
      const { vrf, pool, requestId, slot, address } = request
      const rows = yield* inTurn(JSON.stringify([vrf, pool]), (maxWaitSeconds) =>
        query(statements.allocate, [vrf, pool, requestId, slot, address ?? null, ...takesOf(request), maxWaitSeconds], {
          call: "allocate",
          vrf,
          pool,
          requestId,
          slot,
        }),
      )
      return yield* alone(readAllocate(onlyRow(rows), { vrf, pool, requestId, slot, address, many: false }))
    }),
    outcomeOfOne,
  )

  const allocateMany = method(
    "Allocator.allocateMany",
    Effect.fnUntraced(function* (input: typeof AllocateManyRequest.Encoded) {
      const request = yield* decode.allocateMany(input)
      const { vrf, requestId, slots } = request
      const pools = [...new Set(slots.map((one) => one.pool))].toSorted(byText)
      const rows = yield* inTurn(JSON.stringify([vrf, ...pools]), (maxWaitSeconds) =>
        query(
          statements.allocateMany,
          [
            vrf,
            requestId,
            arrayLiteral(slots.map((one) => one.slot)),
            arrayLiteral(slots.map((one) => one.pool)),
            arrayLiteral(slots.map((one) => one.address ?? null)),
            ...takesOf(request),
            maxWaitSeconds,
          ],
          { call: "allocate_many", vrf, requestId },
        ),
      )
      const answers = oneEach(rows, slots).map(([row, one]) =>
        readAllocate(row, { vrf, requestId, ...one, many: true }),
      )
      return yield* together(answers)
    }),
    outcomesOfAll,
  )

  const confirm = method(
    "Allocator.confirm",
    Effect.fnUntraced(function* (input: typeof KeyRequest.Encoded) {
      const { vrf, requestId, slot } = yield* decode.key(input)
      const context = { call: "confirm", vrf, requestId, slot }
      const rows = yield* query(statements.confirm, [vrf, requestId, slot], context)
      return yield* alone(readHold(onlyRow(rows), context))
    }),
  )

  const confirmMany = method(
    "Allocator.confirmMany",
    Effect.fnUntraced(function* (input: typeof KeysRequest.Encoded) {
      const { vrf, requestId, slots } = yield* decode.keys(input)
      const context = { call: "confirm_many", vrf, requestId }
      const rows = yield* query(statements.confirmMany, [vrf, requestId, arrayLiteral(slots)], context)
      return yield* together(oneEach(rows, slots).map(([row]) => readHold(row, context)))
    }),
  )

  const extend = method(
    "Allocator.extend",
    Effect.fnUntraced(function* (input: typeof ExtendRequest.Encoded) {
      const { vrf, requestId, slot, ttlSeconds } = yield* decode.extend(input)
      const context = { call: "extend", vrf, requestId, slot }
      const rows = yield* query(statements.extend, [vrf, requestId, slot, ttlSeconds], context)
      return yield* alone(readHold(onlyRow(rows), context))
    }),
  )

  const extendMany = method(
    "Allocator.extendMany",
    Effect.fnUntraced(function* (input: typeof ExtendManyRequest.Encoded) {
      const { vrf, requestId, slots, ttlSeconds } = yield* decode.extendMany(input)
      const context = { call: "extend_many", vrf, requestId }
      const rows = yield* query(statements.extendMany, [vrf, requestId, arrayLiteral(slots), ttlSeconds], context)
      return yield* together(oneEach(rows, slots).map(([row]) => readHold(row, context)))
    }),
  )

  const release = method(
    "Allocator.release",
    Effect.fnUntraced(function* (input: typeof KeyRequest.Encoded) {
      const { vrf, requestId, slot } = yield* decode.key(input)
      const rows = yield* query(statements.release, [vrf, requestId, slot], { call: "release", vrf, requestId, slot })
      return readRelease(onlyRow(rows))
    }),
  )

  const releaseMany = method(
    "Allocator.releaseMany",
    Effect.fnUntraced(function* (input: typeof KeysRequest.Encoded) {
      const { vrf, requestId, slots } = yield* decode.keys(input)
      const context = { call: "release_many", vrf, requestId }
      const rows = yield* query(statements.releaseMany, [vrf, requestId, arrayLiteral(slots)], context)
      return oneEach(rows, slots).map(([row]) => readRelease(row))
    }),
  )

  const releaseAll = method(
    "Allocator.releaseAll",
    Effect.fnUntraced(function* (input: typeof ReleaseAllRequest.Encoded) {
      const { vrf, requestId } = yield* decode.releaseAll(input)
      const rows = yield* query(statements.releaseAll, [vrf, requestId], { call: "release_all", vrf, requestId })
      return rows.map(readRelease)
    }),
  )

  /** A round over all pools, in every VRF, since it changes nothing that anyone holds. It can wait for the next time. */
  const upkeep = Effect.gen(function* () {
    let place: ReadonlyArray<string | null> = [null, null, null]
    do {
      const { vrf, pool_id: poolId, last } = onlyRow(yield* query(statements.upkeep, place, { call: "upkeep" }))
      place = [vrf, poolId, last].map((value) => (typeof value === "string" ? value : null))
    } while (place[0] !== null)
  })

  const reclaimExpired = method(
    "Allocator.reclaimExpired",
    Effect.fnUntraced(function* (input: typeof ReclaimRequest.Encoded = {}) {
      const { maxRows, vrf } = yield* decode.reclaim(input)
      const rows = yield* query(statements.reclaimExpired, [maxRows, vrf ?? null], { call: "reclaim_expired", vrf })
      if (rows.length === 0) yield* checkVrf(vrf)
      if (rows.length < maxRows) yield* Effect.ignore(upkeep)
      return rows.map(readRelease)
    }),
  )

  return Allocator.of({
    allocate,
    allocateMany,
    confirm,
    confirmMany,
    extend,
    extendMany,
    release,
    releaseMany,
    releaseAll,
    reclaimExpired,
    ...makeReading(query),
  })
})
