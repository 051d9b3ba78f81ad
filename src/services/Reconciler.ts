/**
 * Gives back what nobody will: provisional allocations past their ttl, and orphans, which are held for an owner that is gone.
 *
 * Whether an owner is there is not known here: the caller's source says so. It is asked twice: an orphan is marked first, and
 * released by a later look, in this run or the next one, that finds it still orphaned, under the same generation, with no operation
 * pending on it. A source that cannot be relied on releases nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Allocator } from "./Allocator.ts"
import { Pools } from "./Pools.ts"
import { type CallError, Database } from "../database/Database.ts"
import { onEach, serversOf } from "../database/servers.ts"
import type { Allocation, Released } from "../contract/allocation.ts"
import { type OwnersUnreadable, TooManyOrphans, type UnknownVrf } from "../errors/errors.ts"
import { decodeInput } from "../contract/input.ts"
import { ReconcileRequest } from "../contract/operationRequests.ts"
import type { Pool } from "../contract/pool.ts"
import { findOrphans, inPages, markings, type Orphan } from "./orphans.ts"
import { asker, type OwnerSource } from "./owners.ts"
import { releaser } from "./releaseOrphan.ts"
import { upkeepCalls } from "../contract/upkeepCalls.ts"
import { sender } from "./methods.ts"

/**
 * What a run did. `expired`: how many that were past their ttl it released, or, of a dry run, would have. `orphans`: what else
 * looks orphaned; of these `marked` for the first time, `released` now, the others later or, if anything spoke for them, not at all.
 */
export interface Reconciled {
  readonly expired: number
  readonly orphans: ReadonlyArray<Allocation>
  readonly marked: number
  readonly released: ReadonlyArray<Released>
}

export class Reconciler extends Context.Service<
  Reconciler,
  {
    /**
     * One run over all pools, or those of a VRF. Several at once release each orphan once.
     *
     * `OwnersUnreadable`: nothing is released from then on; asking comes before any release. `TooManyOrphans`: nothing is, nor
     * marked. Where VRFs have servers of their own, this holds for each server by itself.
     */
    readonly reconcile: <E, R>(
      owners: OwnerSource<E, R>,
      request?: typeof ReconcileRequest.Encoded,
    ) => Effect.Effect<Reconciled, OwnersUnreadable | TooManyOrphans | UnknownVrf | CallError, R>
  }
>()("saga-ipam/services/Reconciler") {
  static readonly layer: Layer.Layer<Reconciler, never, Database> = Layer.effect(
    Reconciler,
    Effect.suspend(() => make),
  )
}

const decode = decodeInput(ReconcileRequest)

/** The reconciler of one server. */
const makeThere = Effect.gen(function* () {
  const allocator = yield* Allocator
  const pools = yield* Pools
  const { query } = yield* Database
  const send = sender(query)
  const { clear, mark } = markings(query)
  const release = releaser(query)

  const reclaimAll = Effect.fnUntraced(function* (vrf: string | undefined) {
    let expired = 0
    for (;;) {
      const { length } = yield* allocator.reclaimExpired({ vrf, maxRows: RECLAIMED })
      expired += length
      if (length < RECLAIMED) return expired
    }
  })

  return Effect.fnUntraced(function* <E, R>(owners: OwnerSource<E, R>, request: typeof ReconcileRequest.Type) {
    const ask = asker(owners, request.sourceTimeoutSeconds)
    const expired = yield* request.dryRun ? send(upkeepCalls.countExpired, request) : reclaimAll(request.vrf)

    const found: Array<{ readonly orphans: ReadonlyArray<Orphan>; readonly revived: ReadonlyArray<Orphan> }> = []
    for (const pool of yield* pools.listPools({ vrf: request.vrf })) {
      const ofPool = yield* findOrphans(query, ask, pool, request.graceSeconds)
      yield* checkShare(pool, ofPool.orphans.length, request.maxShare)
      found.push(ofPool)
    }
    const orphans = found.flatMap((ofPool) => ofPool.orphans)
    const looked = { expired, orphans: orphans.map(({ allocation }) => allocation) }
    if (request.dryRun) return { ...looked, marked: 0, released: [] }

    yield* clear(found.flatMap(({ revived }) => revived))
    const marked = yield* mark(
      orphans.filter(({ markedSeconds }) => markedSeconds === null),
      request.by,
    )
    const settled = orphans.filter(
      ({ markedSeconds }) => markedSeconds !== null && markedSeconds >= request.settleSeconds,
    )
    const still = yield* inPages(settled, (page) => Effect.map(ask(page), ({ absent }) => absent))
    return { ...looked, marked, released: yield* release(still, request) }
  })
})

const make = Effect.gen(function* () {
  const database = yield* Database
  const reconcilers = yield* Effect.forEach(serversOf(database), (server) => {
    const services = Layer.provideMerge(Layer.mergeAll(Allocator.layer, Pools.layer), Layer.succeed(Database, server))
    // `local`: else they would be the services of all servers, which are built already.
    return Effect.map(Effect.provide(makeThere, services, { local: true }), (reconcileThere) => ({
      server,
      reconcileThere,
    }))
  })

  const reconcile = Effect.fn("Reconciler.reconcile")(function* <E, R>(
    owners: OwnerSource<E, R>,
    input: typeof ReconcileRequest.Encoded = {},
  ) {
    const request = yield* decode(input)
    const servers = serversOf(database, request.vrf)
    const asked = reconcilers.filter(({ server }) => servers.includes(server))
    const all = yield* onEach(asked, ({ reconcileThere }) => reconcileThere(owners, request))
    return {
      expired: all.reduce((sum, one) => sum + one.expired, 0),
      orphans: all.flatMap(({ orphans }) => orphans),
      marked: all.reduce((sum, one) => sum + one.marked, 0),
      released: all.flatMap(({ released }) => released),
    }
  })
  return Reconciler.of({ reconcile })
})

/** How many expired allocations are released by one call. */
const RECLAIMED = 1000

const checkShare = ({ vrf, name, held }: Pool, orphans: number, maxShare: number) =>
  orphans > maxShare * Number(held)
    ? Effect.fail(new TooManyOrphans({ vrf, pool: name, orphans: BigInt(orphans), held, maxShare }))
    : Effect.void
