/**
 * The database calls that protect addresses, each for many addresses of one pool: allocate, reserve, lift reservations, and find
 * what is still unprotected. Decides nothing: what to protect comes from `plan.ts`.
 */
import * as Effect from "effect/Effect"
import type { CallError } from "../services/Allocator.ts"
import { keyed } from "../services/allocatorStatements.ts"
import { oneEach, outcomeOf, textOf } from "../services/rows.ts"
import { arrayLiteral } from "../database/connection.ts"
import { Database, type Row } from "../database/Database.ts"
import { parseAddress, type IpAddress } from "../domain/address.ts"
import { Contended } from "../errors/errors.ts"
import type { Owner } from "../domain/identity.ts"
import { MAX_SLOTS } from "../contract/requests.ts"
import type { PlannedAllocation, PlannedReservation, PoolRange, WithPool } from "./plan.ts"
import { endsOf, printSpan, spanBetween, union, type Span } from "./spans.ts"
import * as Result from "effect/Result"

/** How many pools are worked on at the same time; calls for one pool are made one after another, to avoid lock waits. */
export const CONCURRENCY = 4

const importAddresses = keyed(
  "import_addresses",
  "vrf",
  "pool",
  "request_id",
  "slots",
  "addresses",
  "owner_kinds",
  "owner_ids",
  "dry_run",
)
const importReservations = keyed("import_reservations", "vrf", "pool", "ranges", "reasons", "mark")
const liftReservationsOf = keyed("lift_reservations", "vrf", "pool", "firsts", "lasts", "reasons")
const unprotected = keyed("unprotected", "vrf", "pool", "firsts", "lasts")

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
        Array.from({ length: Math.ceil(ofPool.length / MAX_SLOTS) }, (_, at) =>
          ofPool.slice(at * MAX_SLOTS, (at + 1) * MAX_SLOTS),
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
  const [ranges, reasons] = [batch.map(({ span }) => printSpan(span)), batch.map(({ planned }) => planned.reason)]
  const parameters = [vrf, id, arrayLiteral(ranges), arrayLiteral(reasons), reasonPrefix]
  yield* query(importReservations, parameters, { call: "import_reservations", vrf, pool: id })
})

const outcomes = [
  "allocated",
  "replayed",
  "moved",
  "address_taken",
  "key_released",
  "key_reused",
  "address_outside",
  "unknown_pool",
] as const
export type HoldOutcome = (typeof outcomes)[number]

/** The outcome of allocating one address; `owner` is the owner of its allocation, `null` for none. */
export interface HoldResult {
  readonly requested: WithPool<PlannedAllocation>
  readonly outcome: HoldOutcome
  readonly owner: Owner | null
}

const ownerIn = (row: Row): Owner | null => {
  const [kind, id] = [textOf(row, "owner_kind"), textOf(row, "owner_id")]
  return kind === undefined || id === undefined ? null : { kind, id }
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
  const context = { call: "import_addresses", vrf, pool, requestId }
  const results: Array<HoldResult> = []
  let undecided = batch
  for (let attempt = 1; undecided.length > 0; attempt++) {
    if (attempt > MAX_ATTEMPTS) return yield* new Contended(context)
    if (attempt > 1) yield* Effect.sleep(PAUSE)
    const planned = undecided.map((one) => one.planned)
    const lists = [
      planned.map(({ slot }) => slot),
      planned.map(({ address }) => address),
      planned.map(({ owner }) => owner?.kind ?? null),
      planned.map(({ owner }) => owner?.id ?? null),
    ]
    const parameters = [vrf, id, requestId, ...lists.map(arrayLiteral), dryRun]
    const answers = oneEach(yield* query(importAddresses, parameters, context), undecided)
    undecided = answers.filter(([row]) => row["outcome"] === "contended").map(([, requested]) => requested)
    for (const [row, requested] of answers) {
      if (row["outcome"] === "contended") continue
      results.push({ requested, outcome: outcomeOf(row, outcomes), owner: ownerIn(row) })
    }
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
  const ends = batch.map(({ span }) => endsOf(span))
  const lists = [ends.map(({ first }) => first), ends.map(({ last }) => last), batch.map(({ reason }) => reason)]
  const parameters = [vrf, id, ...lists.map(arrayLiteral)]
  yield* query(liftReservationsOf, parameters, { call: "lift_reservations", vrf, pool: id })
})

/** A span that may still be handed out; `why` is `free`, `cooling`, or `unknown_pool` for a pool that no longer exists. */
export interface UnprotectedSpan {
  readonly poolRange: PoolRange
  readonly span: Span
  readonly why: string
}

const addressIn = (row: Row, column: string): IpAddress => Result.getOrThrow(parseAddress(textOf(row, column) ?? ""))

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
      const ends = batch.map(({ span }) => endsOf(span))
      const lists = [ends.map(({ first }) => first), ends.map(({ last }) => last)]
      const context = { call: "unprotected", vrf, pool: id }
      const rows = yield* query(unprotected, [vrf, id, ...lists.map(arrayLiteral)], context)
      for (const row of rows) {
        const span = spanBetween(addressIn(row, "first"), addressIn(row, "last"))
        found.push({ poolRange, span, why: outcomeOf(row, ["free", "cooling", "unknown_pool"]) })
      }
    }),
  )
  return found
})
