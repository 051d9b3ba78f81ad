/**
 * The database calls that protect addresses, each for many addresses of one pool: allocate, reserve, lift reservations, and find
 * what is still unprotected. Decides nothing: what to protect comes from `plan.ts`.
 */
import * as Effect from "effect/Effect"
import { sender } from "../services/methods.ts"
import type { Answer } from "../contract/call.ts"
import { importCalls } from "../contract/importCalls.ts"
import { Database, type CallError } from "../database/Database.ts"
import { Contended } from "../errors/errors.ts"
import type { Owner } from "../domain/identity.ts"
import { MAX_MIXED_SLOTS } from "../contract/requests.ts"
import type { PlannedAllocation, PlannedReservation, PoolRange, WithPool } from "./plan.ts"
import { endsOf, printSpan, spanBetween, union, type Span } from "./spans.ts"

/** How many pools are worked on at the same time; calls for one pool are made one after another, to avoid lock waits. */
export const CONCURRENCY = 4

/** How often, and after what pause, an address is retried that is in flight in another transaction. */
const MAX_ATTEMPTS = 40
const PAUSE = "50 millis"

interface InPool {
  readonly poolRange: PoolRange
}

/**
 * Calls once for every batch of at most 256 items of one pool: several pools at a time, the batches of a pool one after another.
 * Items of pools that a dry run would create are passed over.
 */
export const forEachPool = <Item extends InPool, E, R>(
  items: ReadonlyArray<Item>,
  call: (batch: ReadonlyArray<Item>, pool: PoolRange) => Effect.Effect<void, E, R>,
): Effect.Effect<void, E, R> =>
  Effect.forEach(
    Map.groupBy(
      items.filter(({ poolRange }) => poolRange.id !== ""),
      ({ poolRange }) => poolRange.id,
    ).values(),
    (ofPool) =>
      Effect.forEach(
        Array.from({ length: Math.ceil(ofPool.length / MAX_MIXED_SLOTS) }, (_, at) =>
          ofPool.slice(at * MAX_MIXED_SLOTS, (at + 1) * MAX_MIXED_SLOTS),
        ),
        (batch) => (batch[0] === undefined ? Effect.void : call(batch, batch[0].poolRange)),
        { discard: true },
      ),
    { concurrency: CONCURRENCY, discard: true },
  )

/** Reserves each span of the pool, with its reason. Succeeds also where one cannot be reserved: `findUnprotected` finds that. */
export const reserveSpans = Effect.fnUntraced(function* (
  batch: ReadonlyArray<WithPool<PlannedReservation>>,
  { vrf, id }: PoolRange,
  reasonPrefix: string,
) {
  const { query } = yield* Database
  const reservations = batch.map(({ span, planned }) => ({ range: printSpan(span), reason: planned.reason }))
  yield* sender(query)(importCalls.importReservations, { vrf, pool: id, reservations, mark: reasonPrefix })
})

type Outcome =
  (typeof importCalls.importAddresses)["answer"] extends Answer<never, ReadonlyArray<infer One>, never> ? One : never
export type HoldOutcome = Exclude<Outcome["outcome"], "contended">

/** The outcome of allocating one address; `owner` is the owner of its allocation, `null` for none. */
export interface HoldResult {
  readonly requested: WithPool<PlannedAllocation>
  readonly outcome: HoldOutcome
  readonly owner: Owner | null
}

/**
 * Allocates each address of the pool under its key. An address that is in flight in another transaction is retried for about 2 s,
 * then the call fails with `Contended`.
 */
export const holdAddresses = Effect.fnUntraced(function* (
  batch: ReadonlyArray<WithPool<PlannedAllocation>>,
  { vrf, id, pool }: PoolRange,
  { requestId, dryRun }: { readonly requestId: string; readonly dryRun: boolean },
): Effect.fn.Return<ReadonlyArray<HoldResult>, CallError, Database> {
  const { query } = yield* Database
  const { importAddresses } = importCalls
  const results: Array<HoldResult> = []
  let undecided = batch
  for (let attempt = 1; undecided.length > 0; attempt++) {
    const request = { vrf, pool: id, requestId, dryRun, addresses: undecided.map(({ planned }) => planned) }
    if (attempt > MAX_ATTEMPTS) return yield* new Contended({ ...importAddresses.context(request), pool })
    if (attempt > 1) yield* Effect.sleep(PAUSE)
    const answers = yield* sender(query)(importAddresses, request)
    const contended: Array<WithPool<PlannedAllocation>> = []
    for (const [index, requested] of undecided.entries()) {
      const answer = answers[index]
      if (answer === undefined || answer.outcome === "contended") contended.push(requested)
      else results.push({ requested, outcome: answer.outcome, owner: answer.owner })
    }
    undecided = contended
  }
  return results
})

/** A reservation in the database that somebody asked for, unlike those of network addresses and gateways. */
export interface KnownReservation {
  readonly poolRange: PoolRange
  readonly span: Span
  readonly reason: string | null
}

/** Lifts exactly these reservations of the pool, and no others of the same addresses. */
export const liftReservations = Effect.fnUntraced(function* (
  batch: ReadonlyArray<KnownReservation>,
  { vrf, id }: PoolRange,
) {
  const { query } = yield* Database
  const spans = batch.map(({ span, reason }) => ({ ...endsOf(span), reason }))
  yield* sender(query)(importCalls.liftReservations, { vrf, pool: id, spans })
})

/** A span that may still be handed out; `why` is `free`, `cooling`, or `unknown_pool` for a pool that no longer exists. */
export interface UnprotectedSpan {
  readonly poolRange: PoolRange
  readonly span: Span
  readonly why: string
}

/** The parts of these spans that are neither held nor reserved; one snapshot for each call of at most 256 spans. */
export const findUnprotected = Effect.fnUntraced(function* (
  spans: ReadonlyArray<InPool & { readonly span: Span }>,
): Effect.fn.Return<ReadonlyArray<UnprotectedSpan>, CallError, Database> {
  const { query } = yield* Database
  const found: Array<UnprotectedSpan> = []
  const joined = [...Map.groupBy(spans, ({ poolRange }) => poolRange.id).values()].flatMap((ofPool) => {
    const poolRange = ofPool[0]?.poolRange
    return poolRange === undefined ? [] : union(ofPool.map(({ span }) => span)).map((span) => ({ poolRange, span }))
  })
  yield* forEachPool(
    joined,
    Effect.fnUntraced(function* (batch, poolRange) {
      const { vrf, id } = poolRange
      const spans = batch.map(({ span }) => endsOf(span))
      const unprotected = yield* sender(query)(importCalls.unprotected, { vrf, pool: id, spans })
      for (const { first, last, why } of unprotected) found.push({ poolRange, span: spanBetween(first, last), why })
    }),
  )
  return found
})
