/**
 * The calls on allocations: allocate, confirm, extend, release, reclaim, and the reads of what is held.
 *
 * Each is one statement, which the database answers by itself; what it takes, sends and answers is declared in `allocationCalls`.
 * This service keeps nothing: the same key from any process gets the same answer. Called again after an error of which
 * `isRepeatable` is true, a call with its key is always right.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Allocation, KeyRecord } from "../contract/allocation.ts"
import { allocationCalls, type AllocationCalls } from "../contract/allocationCalls.ts"
import type { AddressRequest } from "../contract/requests.ts"
import { upkeepBegins, upkeepCalls } from "../contract/upkeepCalls.ts"
import { type CallError, Database, type Server } from "../database/Database.ts"
import { onEach, serversOf } from "../database/servers.ts"
import { AmbiguousIdentity, type UnknownVrf } from "../errors/errors.ts"
import { vrfChecker } from "./checkVrf.ts"
import { method } from "./metrics.ts"
import { methodsOf, sender, type Methods, type RefusalOf } from "./methods.ts"
import { everyPage } from "./pages.ts"
import { atOnce, makeInTurn } from "./waiting.ts"

/** Why an allocate was refused. */
export type AllocateRefusal = RefusalOf<typeof allocationCalls.allocate>

/** Why a confirm or an extend was refused. */
export type HoldRefusal = RefusalOf<typeof allocationCalls.confirm>

export class Allocator extends Context.Service<
  Allocator,
  Methods<
    AllocationCalls,
    {
      readonly reclaimExpired: UnknownVrf
      readonly list: UnknownVrf
      readonly describeAddress: UnknownVrf
    }
  > & {
    /** Who holds the address. Without a vrf it must be held in at most one. */
    readonly who: (
      request: typeof AddressRequest.Encoded,
    ) => Effect.Effect<KeyRecord | null, AmbiguousIdentity | UnknownVrf | CallError>
  }
>()("saga-ipam/services/Allocator") {
  static readonly layer: Layer.Layer<Allocator, never, Database> = Layer.effect(
    Allocator,
    Effect.suspend(() => make),
  )
}

const outcomeOfOne = (answer: Allocation) => [answer.outcome]
const outcomesOfAll = (answers: ReadonlyArray<Allocation>) => answers.map((answer) => answer.outcome)

const byText = (a: string, b: string) => (a < b ? -1 : Number(a > b))

const make = Effect.gen(function* () {
  const database = yield* Database
  const { query, inTransactions } = database
  const inTurn = inTransactions ? atOnce : makeInTurn()
  const send = sender(query)
  const checkVrf = vrfChecker(query)
  const methods = methodsOf(query, "Allocator", allocationCalls)

  const { allocate, allocateMany, describeAddress, list, reclaimExpired } = allocationCalls
  const readPage = (request: typeof list.request.Type) => send(list.pick(request), request)

  /** A round over all pools of a server, in every VRF, since it changes nothing that anyone holds. It can wait for the next time. */
  const upkeep = Effect.fnUntraced(function* (server: Server) {
    const sendThere = sender(server.query)
    let place = upkeepBegins
    do {
      place = yield* sendThere(upkeepCalls.upkeep, place)
    } while (place.afterVrf !== null)
  })
  const reclaim = Effect.fnUntraced(function* (server: Server, request: typeof reclaimExpired.request.Type) {
    const released = yield* sender(server.query)(reclaimExpired, request)
    if (released.length < request.maxRows) yield* Effect.ignore(upkeep(server))
    return released
  })

  return Allocator.of({
    ...methods,

    // Callers who wait for the last addresses of the same pools wait in turn, without a connection.
    allocate: method(
      "Allocator.allocate",
      (input: typeof allocate.request.Encoded) =>
        Effect.flatMap(Effect.fromResult(allocate.decode(input)), (request) =>
          inTurn([request.vrf, request.pool], (waitSeconds) => send(allocate, request, waitSeconds)),
        ),
      outcomeOfOne,
    ),
    allocateMany: method(
      "Allocator.allocateMany",
      (input: typeof allocateMany.request.Encoded) =>
        Effect.flatMap(Effect.fromResult(allocateMany.decode(input)), (request) => {
          const pools = [...new Set(request.slots.map((one) => one.pool))].toSorted(byText)
          return inTurn([request.vrf, ...pools], (waitSeconds) => send(allocateMany, request, waitSeconds))
        }),
      outcomesOfAll,
    ),

    // Then the free extents that releases left in pieces are joined, in all VRFs.
    reclaimExpired: method(
      "Allocator.reclaimExpired",
      Effect.fnUntraced(function* (input: typeof reclaimExpired.request.Encoded = {}) {
        const request = yield* Effect.fromResult(reclaimExpired.decode(input))
        const servers = serversOf(database, request.vrf)
        const released = (yield* onEach(servers, (server) => reclaim(server, request))).flat()
        if (released.length === 0) yield* checkVrf(request.vrf)
        return released
      }),
    ),

    list: method(
      "Allocator.list",
      Effect.fnUntraced(function* (input: typeof list.request.Encoded = {}) {
        const request = yield* Effect.fromResult(list.decode(input))
        const found = yield* everyPage(request, input, readPage, ({ vrf, address, slot }) => ({
          vrf,
          address: address ?? undefined,
          slot,
        }))
        if (found.length === 0 && request.after === undefined) yield* checkVrf(request.vrf)
        return found
      }),
    ),
    describeAddress: (input) =>
      Effect.tap(methods.describeAddress(input), ({ outcome }) =>
        outcome === "outside" ? checkVrf(input.vrf) : Effect.void,
      ),
    who: method(
      "Allocator.who",
      Effect.fnUntraced(function* (input: typeof describeAddress.request.Encoded) {
        const { vrf, address } = yield* Effect.fromResult(describeAddress.decode(input))
        const holders = yield* Effect.catchTag(
          readPage({ vrf, address, allVrfs: false, pageSize: 100 }),
          "UnknownPool",
          Effect.die,
        )
        if (holders.length === 0) yield* checkVrf(vrf)
        if (holders.length < 2) return holders[0] ?? null
        const candidates = holders.map((holder) => ({ vrf: holder.vrf, id: holder.requestId }))
        return yield* new AmbiguousIdentity({ identity: `address ${address}`, candidates })
      }),
    ),
  })
})
