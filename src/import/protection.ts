/**
 * The calls that protect addresses, each for many of one pool: holding, reserving, lifting, and looking at what is left open.
 */
import * as Effect from "effect/Effect"
import type { CallError } from "../services/Allocator.ts"
import { oneEach, outcomeOf, textOf } from "../services/rows.ts"
import { arrayLiteral } from "../database/connection.ts"
import { Database, type Row } from "../database/Database.ts"
import { parseAddress, type IpAddress } from "../domain/address.ts"
import { Contended } from "../errors/errors.ts"
import type { Owner } from "../domain/identity.ts"
import { MAX_SLOTS } from "../contract/requests.ts"
import type { Placed, PlannedAllocation, PlannedReservation, PoolRangeCover } from "./plan.ts"
import { endsOf, printSpan, spanBetween, union, type Span } from "./spans.ts"
import * as statements from "./statements.ts"
import * as Result from "effect/Result"

/** How many pools are worked on at a time; within one, calls would wait for each other's extents. */
export const CONCURRENCY = 4

/** How often an address is asked for that another transaction is about to allocate or release, and how long between. */
const ATTEMPTS = 40
const PAUSE = "50 millis"

/** Something of a pool; an empty `id` is a pool that is not made, in a dry run. */
interface InPool {
  readonly cover: PoolRangeCover
}

/** Calls for what is in each pool, at most 256 things a call: pools beside each other, the calls of a pool one after the other. */
export const forEachPool = <P extends InPool, E, R>(
  all: ReadonlyArray<P>,
  call: (some: ReadonlyArray<P>, pool: PoolRangeCover) => Effect.Effect<void, E, R>,
): Effect.Effect<void, E, R> =>
  Effect.forEach(
    Map.groupBy(
      all.filter(({ cover }) => cover.id !== ""),
      ({ cover }) => cover.id,
    ).values(),
    (same) =>
      Effect.forEach(
        Array.from({ length: Math.ceil(same.length / MAX_SLOTS) }, (_, at) =>
          same.slice(at * MAX_SLOTS, (at + 1) * MAX_SLOTS),
        ),
        (some) => (some[0] === undefined ? Effect.void : call(some, some[0].cover)),
        { discard: true },
      ),
    { concurrency: CONCURRENCY, discard: true },
  )

/** Reserves each span of the pool for its reason. Whether it could be is for `findUnprotected` to see. */
export const reserveSpans = Effect.fnUntraced(function* (
  some: ReadonlyArray<Placed<PlannedReservation>>,
  { vrf, id }: PoolRangeCover,
  mark: string,
) {
  const { query } = yield* Database
  const [ranges, reasons] = [some.map(({ span }) => printSpan(span)), some.map(({ planned }) => planned.reason)]
  const parameters = [vrf, id, arrayLiteral(ranges), arrayLiteral(reasons), mark]
  yield* query(statements.importReservations, parameters, { call: "import_reservations", vrf, pool: id })
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

/** What became of an address; `owner` is that of whoever holds it. */
export interface Held {
  readonly placed: Placed<PlannedAllocation>
  readonly outcome: HoldOutcome
  readonly owner: Owner | null
}

const ownerIn = (row: Row): Owner | null => {
  const [kind, id] = [textOf(row, "owner_kind"), textOf(row, "owner_id")]
  return kind === undefined || id === undefined ? null : { kind, id }
}

/** Holds each address of the pool by its key. What is in flight in another transaction is asked for until it is decided. */
export const holdAddresses = Effect.fnUntraced(function* (
  some: ReadonlyArray<Placed<PlannedAllocation>>,
  { vrf, id, pool }: PoolRangeCover,
  { requestId, dryRun }: { readonly requestId: string; readonly dryRun: boolean },
): Effect.fn.Return<ReadonlyArray<Held>, CallError, Database> {
  const { query } = yield* Database
  const context = { call: "import_addresses", vrf, pool, requestId }
  const held: Array<Held> = []
  let open = some
  for (let attempt = 1; open.length > 0; attempt++) {
    if (attempt > ATTEMPTS) return yield* new Contended(context)
    if (attempt > 1) yield* Effect.sleep(PAUSE)
    const planned = open.map((one) => one.planned)
    const lists = [
      planned.map(({ slot }) => slot),
      planned.map(({ address }) => address),
      planned.map(({ owner }) => owner?.kind ?? null),
      planned.map(({ owner }) => owner?.id ?? null),
    ]
    const parameters = [vrf, id, requestId, ...lists.map(arrayLiteral), dryRun]
    const answers = oneEach(yield* query(statements.importAddresses, parameters, context), open)
    open = answers.filter(([row]) => row["outcome"] === "contended").map(([, placed]) => placed)
    for (const [row, placed] of answers) {
      if (row["outcome"] === "contended") continue
      held.push({ placed, outcome: outcomeOf(row, outcomes), owner: ownerIn(row) })
    }
  }
  return held
})

/** A reservation that somebody asked for, as it is in the database. */
export interface KnownReservation {
  readonly cover: PoolRangeCover
  readonly span: Span
  readonly reason: string | null
}

/** Lifts these reservations of the pool, and no others that cover the same. */
export const liftReservations = Effect.fnUntraced(function* (
  some: ReadonlyArray<KnownReservation>,
  { vrf, id }: PoolRangeCover,
) {
  const { query } = yield* Database
  const ends = some.map(({ span }) => endsOf(span))
  const lists = [ends.map(({ first }) => first), ends.map(({ last }) => last), some.map(({ reason }) => reason)]
  const parameters = [vrf, id, ...lists.map(arrayLiteral)]
  yield* query(statements.liftReservations, parameters, { call: "lift_reservations", vrf, pool: id })
})

/** What of the spans of a pool can be handed out; `why` is `free`, `cooling`, or `unknown_pool` for a pool that is gone. */
export interface Open {
  readonly cover: PoolRangeCover
  readonly span: Span
  readonly why: string
}

const addressIn = (row: Row, column: string): IpAddress => Result.getOrThrow(parseAddress(textOf(row, column) ?? ""))

/** Looks at all of these spans, in one snapshot a call, for what is neither held nor reserved. */
export const findUnprotected = Effect.fnUntraced(function* (
  spans: ReadonlyArray<InPool & { readonly span: Span }>,
): Effect.fn.Return<ReadonlyArray<Open>, CallError, Database> {
  const { query } = yield* Database
  const found: Array<Open> = []
  const joined = [...Map.groupBy(spans, ({ cover }) => cover.id).values()].flatMap((same) => {
    const cover = same[0]?.cover
    return cover === undefined ? [] : union(same.map(({ span }) => span)).map((span) => ({ cover, span }))
  })
  yield* forEachPool(
    joined,
    Effect.fnUntraced(function* (some, cover) {
      const ends = some.map(({ span }) => endsOf(span))
      const lists = [ends.map(({ first }) => first), ends.map(({ last }) => last)]
      const context = { call: "unprotected", vrf: cover.vrf, pool: cover.id }
      const rows = yield* query(statements.unprotected, [cover.vrf, cover.id, ...lists.map(arrayLiteral)], context)
      for (const row of rows) {
        const span = spanBetween(addressIn(row, "first"), addressIn(row, "last"))
        found.push({ cover, span, why: outcomeOf(row, ["free", "cooling", "unknown_pool"]) })
      }
    }),
  )
  return found
})
