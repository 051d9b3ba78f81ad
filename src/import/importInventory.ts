/**
 * Imports an inventory. First everything that must never be handed out is protected: allocated where it can be, else reserved. Then
 * the new pools get their final names, and what the source no longer has is listed or released. Last, a query finds what is still
 * unprotected: the report does not rely on the answers of the calls before.
 *
 * Safe to repeat and to resume: every call is idempotent, and until a new pool is protected it has a name that nobody uses. Releases
 * nothing unless told to (`releaseMissing`).
 */
import * as Effect from "effect/Effect"
import { Allocator } from "../services/Allocator.ts"
import { Pools } from "../services/Pools.ts"
import type { CallError, Database } from "../database/Database.ts"
import { MAX_MIXED_SLOTS } from "../contract/requests.ts"
import type { Inventory } from "./inventory.ts"
import { requestIdOf } from "./requestKeys.ts"
import { planContents, planPools, reasonOf, reasonPrefixOf, reported, UNFINISHED } from "./plan.ts"
import type { ImportedKey, NewPool, PlannedReservation, PoolRange, WithPool } from "./plan.ts"
import { bindSpaces, rangesOf, readKeys, readPools, readReservations } from "./databaseState.ts"
import {
  CONCURRENCY,
  findUnprotected,
  forEachPool,
  holdAddresses,
  liftReservations,
  reserveSpans,
} from "./protection.ts"
import type { HoldOutcome, HoldResult, KnownReservation } from "./protection.ts"
import { inFileOrder, type HeldForAnother, type ImportReport, type Missing } from "./report.ts"
import { printSpan, SpanIndex, type Span } from "./spans.ts"
import { vrfLookup } from "./vrfBindings.ts"

export interface ImportOptions {
  /** The name of the other system, e.g. `netbox`: keys, reservations and VRF bindings of an import belong to this name. */
  readonly source: string
  /** Changes nothing; the report says what an import would do. Default `false`. */
  readonly dryRun?: boolean
  /** Releases what an earlier import of this source allocated or reserved and the source no longer has. Default `false`. */
  readonly releaseMissing?: boolean
  /** Called with the number of allocations and reservations done, and their total. */
  readonly onProgress?: (done: number, total: number) => void
}

/** Why an address in use is reserved instead of allocated, by the outcome of the attempt to allocate it. */
const statusWhenRefused: { readonly [outcome in HoldOutcome]?: string } = {
  address_taken: "in use and held by another key",
  key_released: "in use and its key was released meanwhile",
  key_reused: "in use and its key holds another address",
  address_outside: "in use",
  unknown_pool: "in use",
}

/** The reservation that takes the place of a refused allocation; none if the address is held. */
const reservationInstead = (
  source: string,
  { requested, outcome }: HoldResult,
): ReadonlyArray<WithPool<PlannedReservation>> => {
  const status = statusWhenRefused[outcome]
  if (status === undefined) return []
  const { file, index, id, vrf, pool, address } = requested.planned
  const reason = reasonOf(source, requested.source, status)
  return [{ ...requested, planned: { file, index, id, vrf, pool, range: address, reason } }]
}

const spanKey = ({ poolRange, span }: { readonly poolRange: PoolRange; readonly span: Span }): string =>
  `${poolRange.id} ${poolRange.vrf} ${span.first} ${span.last}`

/** Creates the pools that do not exist yet, under unfinished names. Another import may have created one meanwhile. */
const createPools = Effect.fnUntraced(function* (fresh: ReadonlyArray<NewPool>) {
  const { createPool } = yield* Pools
  const create = ({ planned: { vrf, pool, includeNetworkAddresses } }: NewPool) =>
    Effect.catchTags(createPool({ vrf, name: `${UNFINISHED}${pool}`, ranges: [pool], includeNetworkAddresses }), {
      PoolExists: () => Effect.void,
      RangeOverlaps: () => Effect.void,
    })
  const absent = fresh.filter(({ begun }) => !begun)
  yield* Effect.forEach(absent, create, { concurrency: CONCURRENCY, discard: true })
})

/** Gives the new pools their final names. Returns for each whether this import created it: of several at once, one did. */
const finishPools = Effect.fnUntraced(function* (fresh: ReadonlyArray<NewPool>) {
  const { updatePool } = yield* Pools
  const finish = ({ planned: { vrf, pool } }: NewPool) =>
    updatePool({ vrf, pool: `${UNFINISHED}${pool}`, name: pool }).pipe(
      Effect.as(true),
      Effect.catchTags({
        // Another import finished it first.
        UnknownPool: () => Effect.succeed(false),
        // Somebody else has a pool of that name. This one keeps its unfinished name; it exists and is protected.
        PoolExists: () => Effect.succeed(true),
      }),
    )
  return yield* Effect.forEach(fresh, finish, { concurrency: CONCURRENCY })
})

const releaseKeys = Effect.fnUntraced(function* (keys: ReadonlyArray<ImportedKey>, requestId: string) {
  const { releaseMany } = yield* Allocator
  for (const [vrf, ofVrf] of Map.groupBy(keys, (key) => key.vrf)) {
    for (let at = 0; at < ofVrf.length; at += MAX_MIXED_SLOTS) {
      yield* releaseMany({ vrf, requestId, slots: ofVrf.slice(at, at + MAX_MIXED_SLOTS).map(({ slot }) => slot) })
    }
  }
})

const missingOf = (
  keys: ReadonlyArray<ImportedKey>,
  reservations: ReadonlyArray<KnownReservation>,
  released: boolean,
): ReadonlyArray<Missing> => [
  ...keys.map(({ vrf, pool, address, owner }): Missing => {
    return { kind: "allocation", vrf, pool, range: address, owner, reason: null, released }
  }),
  ...reservations.map(({ poolRange: { vrf, pool }, span, reason }): Missing => {
    return { kind: "reservation", vrf, pool, range: printSpan(span), owner: null, reason, released }
  }),
]

/**
 * Carries out an import. It fails with the error of the call that failed, possibly half-way; the same import again does the rest.
 * Success does not mean that everything is protected: `complete` in the report says so.
 */
export const importInventory = Effect.fn("importInventory")(function* (
  inventory: Inventory,
  { source, dryRun = false, releaseMissing = false, onProgress }: ImportOptions,
): Effect.fn.Return<ImportReport, CallError, Allocator | Pools | Database> {
  const requestId = requestIdOf(source)
  const reasonPrefix = reasonPrefixOf(source)
  const vrfOf = vrfLookup(yield* bindSpaces(inventory.spaces, { source, dryRun }))

  const poolsBefore = yield* readPools()
  const rangesBefore = new SpanIndex(rangesOf(poolsBefore, "as they are"))
  const { fresh, existing, skipped } = planPools(inventory.pools, vrfOf, rangesBefore)
  if (!dryRun) yield* createPools(fresh)
  const pools = dryRun ? poolsBefore : yield* readPools()
  const notCreated = fresh
    .filter(({ begun }) => dryRun && !begun)
    .map(({ planned: { vrf, pool }, span }): PoolRange => ({ vrf, pool, id: "", span }))
  const ranges = new SpanIndex([...rangesOf(pools, "as finished"), ...notCreated])
  const keys = yield* readKeys(pools, requestId)
  const reservationsBefore = yield* readReservations(pools)
  const plan = planContents(inventory, vrfOf, ranges, keys, { source, requestId })

  let done = 0
  const advance = (count: number) => {
    done += count
    onProgress?.(done, plan.reservations.length + plan.allocations.length)
  }
  const reasonsBefore = new Map(reservationsBefore.map((one) => [spanKey(one), one.reason]))
  const isOurs = (reason: string | null | undefined) => reason?.startsWith(reasonPrefix) === true
  const reserve = (reservations: ReadonlyArray<WithPool<PlannedReservation>>) => {
    const wanted = new Set(reservations.map((one) => `${spanKey(one)} ${one.planned.reason}`))
    // Somebody else's reservation of the same span stays as it is; so does ours if its reason is still wanted.
    const isNeeded = (one: WithPool<PlannedReservation>) => {
      const reason = reasonsBefore.get(spanKey(one))
      return reason === undefined || (isOurs(reason) && !wanted.has(`${spanKey(one)} ${reason}`))
    }
    return forEachPool(
      reservations.filter((one) => !dryRun && isNeeded(one)),
      (batch, pool) =>
        Effect.andThen(
          reserveSpans(batch, pool, reasonPrefix),
          Effect.sync(() => advance(batch.length)),
        ),
    )
  }

  // First what can only be reserved, then what can be allocated; what turns out not to be allocatable is reserved after all.
  yield* reserve(plan.reservations)
  const results: Array<HoldResult> = plan.allocations
    .filter(({ poolRange }) => poolRange.id === "")
    .map((requested) => ({ requested, outcome: "allocated", owner: null }))
  yield* forEachPool(
    // In address order, so that the addresses of one call lie in few extents.
    plan.allocations.toSorted((a, b) => (a.span.first < b.span.first ? -1 : 1)),
    (batch, pool) =>
      Effect.map(holdAddresses(batch, pool, { requestId, dryRun }), (some) => {
        results.push(...some)
        advance(batch.length)
      }),
  )
  const instead = results.flatMap((result) => reservationInstead(source, result))
  yield* reserve(instead)

  // Reservations of earlier imports that nothing requires now. One whose addresses are all protected otherwise is always lifted.
  const reserved = [...plan.reservations, ...instead]
  const wantedSpans = new Set(reserved.map(spanKey))
  const unwanted = reservationsBefore.filter((one) => isOurs(one.reason) && !wantedSpans.has(spanKey(one)))
  const gone = unwanted.filter(({ poolRange, span }) => !plan.isOccupied(poolRange.vrf, span))
  const released = releaseMissing && !dryRun
  if (!dryRun) yield* forEachPool(released ? unwanted : unwanted.filter((one) => !gone.includes(one)), liftReservations)
  if (released) yield* releaseKeys(plan.gone, requestId)
  const isCreated = dryRun ? fresh.map(() => true) : yield* finishPools(fresh)

  const occupied = [...plan.reservations, ...plan.allocations]
  const open = dryRun ? [] : yield* findUnprotected(occupied)
  const unprotected = [
    ...plan.outside,
    ...open.flatMap(({ poolRange: { id, vrf, pool }, span, why }) =>
      occupied
        .filter((one) => one.poolRange.id === id && one.span.first <= span.last && span.first <= one.span.last)
        .map((one) => reported(one.source, vrf, why, `pool ${pool} may hand out ${printSpan(span)}`)),
    ),
  ]
  const withOutcome = (outcome: HoldOutcome) => results.filter((result) => result.outcome === outcome)
  const plannedOf = (some: ReadonlyArray<HoldResult>) => inFileOrder(some.map(({ requested }) => requested.planned))
  const heldForAnother = (some: ReadonlyArray<HoldResult>): ReadonlyArray<HeldForAnother> =>
    inFileOrder(some.map(({ requested, owner }) => ({ ...requested.planned, heldFor: owner })))
  const items = (isNew: boolean) => ({
    pools: inFileOrder([
      ...(isNew ? [] : existing),
      ...fresh.filter((_, at) => isCreated[at] === isNew).map((one) => one.planned),
    ]),
    reservations: inFileOrder(
      reserved.filter((one) => reasonsBefore.has(spanKey(one)) !== isNew).map((one) => one.planned),
    ),
    allocations: plannedOf(withOutcome(isNew ? "allocated" : "replayed")),
  })
  return {
    source,
    dryRun,
    complete: unprotected.length === 0,
    made: items(true),
    existing: items(false),
    moved: heldForAnother(withOutcome("moved")),
    taken: heldForAnother(withOutcome("address_taken")),
    missing: missingOf(plan.gone, gone, released),
    left: inFileOrder([...skipped, ...plan.skipped]),
    unprotected: inFileOrder(unprotected),
  }
})
