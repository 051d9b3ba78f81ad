/**
 * Pools and their ranges: what there is to draw from, and how much of it is left.
 *
 * As in `Allocator`, each call is one statement, declared in `poolCalls`. Creating, adding and reserving may be repeated after
 * `DatabaseUnavailable`; removing, unreserving and deleting are not repeated by themselves, since a second one would find
 * nothing to do.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { poolCalls, type PoolCalls } from "../contract/poolCalls.ts"
import { Database } from "../database/Database.ts"
import type { UnknownVrf } from "../errors/errors.ts"
import { vrfChecker } from "./checkVrf.ts"
import { method } from "./metrics.ts"
import { methodsOf, sender, type Methods } from "./methods.ts"
import { everyPage } from "./pages.ts"

export class Pools extends Context.Service<Pools, Methods<PoolCalls, { readonly listPools: UnknownVrf }>>()(
  "saga-ipam/services/Pools",
) {
  static readonly layer: Layer.Layer<Pools, never, Database> = Layer.effect(
    Pools,
    Effect.suspend(() => make),
  )
}

const make = Effect.gen(function* () {
  const { query } = yield* Database
  const send = sender(query)
  const checkVrf = vrfChecker(query)
  const { listPools, listReservations } = poolCalls
  return Pools.of({
    ...methodsOf(query, "Pools", poolCalls),

    listPools: method(
      "Pools.listPools",
      Effect.fnUntraced(function* (input: typeof listPools.request.Encoded = {}) {
        const request = yield* Effect.fromResult(listPools.decode(input))
        const read = (page: typeof request) => send(listPools, page)
        const found = yield* everyPage(request, input, read, ({ vrf, name }) => ({ vrf, name }))
        if (found.length === 0 && request.after === undefined) yield* checkVrf(request.vrf)
        return found
      }),
    ),
    listReservations: method(
      "Pools.listReservations",
      Effect.fnUntraced(function* (input: typeof listReservations.request.Encoded) {
        const request = yield* Effect.fromResult(listReservations.decode(input))
        const read = (page: typeof request) => send(listReservations, page)
        return yield* everyPage(request, input, read, ({ first, last, kind }) => ({ first, last, kind }))
      }),
    ),
  })
})
