/**
 * Imports an inventory: first everything that must never be handed out is protected, by a key where it can be held, else by a
 * reservation; then the new pools get their names, what is gone is listed or released, and what is not protected is found by
 * asking the database, not by trusting the calls.
 *
 * Safe to repeat and to resume: a pool that is not finished has a name that nobody asks for, and every call answers the same when
 * it is made again. It takes nothing away unless it is told to (`releaseMissing`).
 */
import * as Effect from "effect/Effect"
import { Allocator, type CallError } from "../services/Allocator.ts"
import { Pools } from "../services/Pools.ts"
import type { Database } from "../database/Database.ts"
import { MAX_SLOTS } from "../contract/requests.ts"
import { Covers } from "./covers.ts"
import type { Inventory } from "./inventory.ts"
import { requestIdOf } from "./keys.ts"
import { markOf, planContents, planPools, reasonOf, reported, UNFINISHED } from "./plan.ts"
import type { HeldKey, NewPool, Placed, PlannedReservation, PoolRangeCover } from "./plan.ts"
import { bindSpaces, rangesOf, readKeys, readPools, readReservations } from "./present.ts"
import {
  CONCURRENCY,
  findUnprotected,
  forEachPool,
  holdAddresses,
  liftReservations,
  reserveSpans,
} from "./protection.ts"
import type { Held, HoldOutcome, KnownReservation } from "./protection.ts"
import { inFileOrder, type HeldOtherwise, type ImportReport, type Missing } from "./report.ts"
import { printSpan, type Span } from "./spans.ts"
import { vrfsBy } from "./vrfNames.ts"

export interface ImportOptions {
  /** Which system it is: `netbox`. Its keys, its reservations and the names of its VRFs go by this. */
  readonly source: string
  /** Changes nothing, and says what would become of everything. */
  readonly dryRun?: boolean
  /** Releases what an earlier import of this source holds or reserved and the source has no more. */
  readonly releaseMissing?: boolean
  /** Hears how many of all addresses and reservations are done. */
  readonly onProgress?: (done: number, all: number) => void
}

/** Why an address that is in use is reserved, and not held by its key. */
const refusals: { readonly [outcome in HoldOutcome]?: string } = {
  address_taken: "in use, and held by another key",
  key_released: "in use, and its key was released meanwhile",
  key_reused: "in use, and its key holds another address",
  address_outside: "in use",
  unknown_pool: "in use",
}

/** The reservation in place of an allocation that was refused. */
const insteadOf = (source: string, { placed, outcome }: Held): ReadonlyArray<Placed<PlannedReservation>> => {
  const why = refusals[outcome]
  if (why === undefined) return []
  const { file, index, id, vrf, pool, address } = placed.planned
  const reason = reasonOf(source, placed.source, why)
  return [{ ...placed, planned: { file, index, id, vrf, pool, range: address, reason } }]
}

const spanKey = ({ cover, span }: { readonly cover: PoolRangeCover; readonly span: Span }): string =>
  `${cover.id} ${cover.vrf} ${span.first} ${span.last}`

/** Makes the pools that are not there, under names that nobody asks for yet; another import of the same may come first. */
const makePools = Effect.fnUntraced(function* (fresh: ReadonlyArray<NewPool>) {
  const { createPool } = yield* Pools
  const make = ({ planned: { vrf, pool, includeNetworkAddresses } }: NewPool) =>
    Effect.catchTags(createPool({ vrf, name: `${UNFINISHED}${pool}`, ranges: [pool], includeNetworkAddresses }), {
      PoolExists: () => Effect.void,
      RangeOverlaps: () => Effect.void,
    })
  const absent = fresh.filter(({ begun }) => !begun)
  yield* Effect.forEach(absent, make, { concurrency: CONCURRENCY, discard: true })
})

/** Gives the pools their names. Says of each whether this import did: of several that run at once, one does. */
const finishPools = Effect.fnUntraced(function* (fresh: ReadonlyArray<NewPool>) {
  const { updatePool } = yield* Pools
  const finish = ({ planned: { vrf, pool } }: NewPool) =>
    updatePool({ vrf, pool: `${UNFINISHED}${pool}`, name: pool }).pipe(
      Effect.as(true),
      Effect.catchTags({
        // Another import finished it first.
        UnknownPool: () => Effect.succeed(false),
        // Somebody has a pool of that name: this one is there, and protected.
        PoolExists: () => Effect.succeed(true),
      }),
    )
  return yield* Effect.forEach(fresh, finish, { concurrency: CONCURRENCY })
})

/** Releases the keys of what is gone. */
const releaseKeys = Effect.fnUntraced(function* (gone: ReadonlyArray<HeldKey>, requestId: string) {
  const { releaseMany } = yield* Allocator
  for (const [vrf, same] of Map.groupBy(gone, (key) => key.vrf)) {
    for (let at = 0; at < same.length; at += MAX_SLOTS) {
      yield* releaseMany({ vrf, requestId, slots: same.slice(at, at + MAX_SLOTS).map(({ slot }) => slot) })
    }
  }
})

const missingOf = (
  keys: ReadonlyArray<HeldKey>,
  reservations: ReadonlyArray<KnownReservation>,
  released: boolean,
): ReadonlyArray<Missing> => [
  ...keys.map(({ vrf, pool, address, owner }): Missing => {
    return { kind: "allocation", vrf, pool, range: address, owner, reason: null, released }
  }),
  ...reservations.map(({ cover: { vrf, pool }, span, reason }): Missing => {
    return { kind: "reservation", vrf, pool, range: printSpan(span), owner: null, reason, released }
  }),
]

/**
 * Carries it out. Fails as the calls do, with a part of it done; made again, it does the rest. An import that ends has
 * `complete` in its report: whether all that is occupied is protected.
 */
export const importInventory = Effect.fn("importInventory")(function* (
  inventory: Inventory,
  { source, dryRun = false, releaseMissing = false, onProgress }: ImportOptions,
): Effect.fn.Return<ImportReport, CallError, Allocator | Pools | Database> {
  const requestId = requestIdOf(source)
  const mark = markOf(source)
  const vrfOf = vrfsBy(yield* bindSpaces(inventory.spaces, { source, dryRun }))

  const before = yield* readPools()
  const { fresh, existing, left } = planPools(inventory.pools, vrfOf, new Covers(rangesOf(before, "as they are")))
  if (!dryRun) yield* makePools(fresh)
  const pools = dryRun ? before : yield* readPools()
  const unmade = fresh
    .filter(({ begun }) => dryRun && !begun)
    .map(({ planned: { vrf, pool }, span }): PoolRangeCover => ({ vrf, pool, id: "", span }))
  const ranges = new Covers([...rangesOf(pools, "as finished"), ...unmade])
  const keys = yield* readKeys(pools, requestId)
  const reservations = yield* readReservations(pools)
  const plan = planContents(inventory, vrfOf, ranges, keys, { source, requestId })

  // What can only be reserved comes first, then what can be held; what turns out not to be held is reserved after all.
  let done = 0
  const advance = (count: number) => {
    done += count
    onProgress?.(done, plan.reservations.length + plan.allocations.length)
  }
  const known = new Map(reservations.map((one) => [spanKey(one), one.reason]))
  const reserve = (some: ReadonlyArray<Placed<PlannedReservation>>) => {
    const reasons = new Set(some.map((one) => `${spanKey(one)} ${one.planned.reason}`))
    const isNeeded = (one: Placed<PlannedReservation>) => {
      const reason = known.get(spanKey(one))
      // One that somebody else made stays as it is, and so does one of ours for a reason that holds.
      return reason === undefined || (reason?.startsWith(mark) === true && !reasons.has(`${spanKey(one)} ${reason}`))
    }
    return forEachPool(
      some.filter((one) => !dryRun && isNeeded(one)),
      (batch, pool) =>
        Effect.andThen(
          reserveSpans(batch, pool, mark),
          Effect.sync(() => advance(batch.length)),
        ),
    )
  }
  yield* reserve(plan.reservations)
  const held: Array<Held> = plan.allocations
    .filter(({ cover }) => cover.id === "")
    .map((placed) => ({ placed, outcome: "allocated", owner: null }))
  yield* forEachPool(
    // In address order, so that a call cuts few extents.
    plan.allocations.toSorted((a, b) => (a.span.first < b.span.first ? -1 : 1)),
    (batch, pool) =>
      Effect.map(holdAddresses(batch, pool, { requestId, dryRun }), (some) => {
        held.push(...some)
        advance(batch.length)
      }),
  )
  const instead = held.flatMap((one) => insteadOf(source, one))
  yield* reserve(instead)

  // What an earlier import reserved and nothing asks for: where all of it is protected otherwise by now, it simply goes.
  const reserved = [...plan.reservations, ...instead]
  const wanted = new Set(reserved.map(spanKey))
  const unwanted = reservations.filter((one) => one.reason?.startsWith(mark) === true && !wanted.has(spanKey(one)))
  const gone = unwanted.filter(({ cover, span }) => !plan.isOccupied(cover.vrf, span))
  const released = releaseMissing && !dryRun
  if (!dryRun) yield* forEachPool(released ? unwanted : unwanted.filter((one) => !gone.includes(one)), liftReservations)
  if (released) yield* releaseKeys(plan.gone, requestId)
  const isMade = dryRun ? fresh.map(() => true) : yield* finishPools(fresh)

  const occupied = [...plan.reservations, ...plan.allocations]
  const open = dryRun ? [] : yield* findUnprotected(occupied)
  const unprotected = [
    ...plan.outside,
    ...open.flatMap(({ cover, span, why }) =>
      occupied
        .filter((one) => one.cover.id === cover.id && one.span.first <= span.last && span.first <= one.span.last)
        .map((one) => reported(one.source, cover.vrf, why, `${cover.pool} may hand out ${printSpan(span)}`)),
    ),
  ]
  const outcome = (name: HoldOutcome) => held.filter((one) => one.outcome === name)
  const planned = (some: ReadonlyArray<Held>) => inFileOrder(some.map(({ placed }) => placed.planned))
  const otherwise = (some: ReadonlyArray<Held>): ReadonlyArray<HeldOtherwise> =>
    inFileOrder(some.map(({ placed, owner }) => ({ ...placed.planned, heldFor: owner })))
  const things = (isNew: boolean) => ({
    pools: inFileOrder([
      ...(isNew ? [] : existing),
      ...fresh.filter((_, at) => isMade[at] === isNew).map((one) => one.planned),
    ]),
    reservations: inFileOrder(reserved.filter((one) => known.has(spanKey(one)) !== isNew).map((one) => one.planned)),
    allocations: planned(outcome(isNew ? "allocated" : "replayed")),
  })
  return {
    source,
    dryRun,
    complete: unprotected.length === 0,
    made: things(true),
    existing: things(false),
    moved: otherwise(outcome("moved")),
    taken: otherwise(outcome("address_taken")),
    missing: missingOf(plan.gone, gone, released),
    left: inFileOrder([...left, ...plan.left]),
    unprotected: inFileOrder(unprotected),
  }
})
