/** What looks orphaned: finding it pool by pool, and the marks by which the next look knows it again. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { onlyRow, reader, toAllocation } from "./rows.ts"
import { arrayLiteral } from "../database/connection.ts"
import type { Database, Row } from "../database/Database.ts"
import type { Allocation } from "../contract/allocation.ts"
import type { Pool } from "../contract/pool.ts"
import type { OwnerAsked } from "./owners.ts"
import * as statements from "./operationStatements.ts"

/** Something held for an owner; `markedSeconds`: how long ago it was marked as an orphan, `null` when it was not. */
export interface Orphan {
  readonly allocation: Allocation
  readonly owner: OwnerAsked
  readonly markedSeconds: number | null
}

type Query = (typeof Database.Service)["query"]
type Ask<E, R> = (
  held: ReadonlyArray<Orphan>,
) => Effect.Effect<{ readonly absent: ReadonlyArray<Orphan>; readonly present: ReadonlyArray<Orphan> }, E, R>

const PAGE = 1000

const readMark = reader("a mark", Schema.Struct({ markedSeconds: Schema.NullOr(Schema.Number) }))

const toOrphan = (row: Row): Orphan => {
  const allocation = toAllocation(row)
  const { vrf, owner } = allocation
  if (owner === null) throw new Error("The database answered a candidate without an owner")
  return { allocation, owner: { vrf, ...owner }, ...readMark(row["detail"]) }
}

/**
 * Of what is older than the grace period and nothing works on: what a pool holds for absent owners, and what is marked although
 * its owner is there.
 */
export const findOrphans = Effect.fnUntraced(function* <E, R>(
  query: Query,
  ask: Ask<E, R>,
  { vrf, name }: Pool,
  graceSeconds: number,
) {
  const orphans: Array<Orphan> = []
  const revived: Array<Orphan> = []
  let after: string | null = null
  for (;;) {
    const rows: ReadonlyArray<Row> = yield* query(statements.orphanCandidates, [vrf, name, graceSeconds, after, PAGE], {
      call: "orphan_candidates",
      vrf,
      pool: name,
    })
    const page = rows.map(toOrphan)
    const asked = yield* ask(page)
    orphans.push(...asked.absent)
    revived.push(...asked.present.filter(({ markedSeconds }) => markedSeconds !== null))
    if (page.length < PAGE) return { orphans, revived }
    after = page.at(-1)?.allocation.address ?? null
  }
})

/** Runs over something in pages, and puts the answers together. */
export const inPages = <A, B, E, R>(
  all: ReadonlyArray<A>,
  each: (page: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E, R>,
) =>
  Effect.gen(function* () {
    const found: Array<B> = []
    for (let from = 0; from < all.length; from += PAGE) found.push(...(yield* each(all.slice(from, from + PAGE))))
    return found
  })

/** Setting marks, and taking them away; both answer how many. */
export const markings = (query: Query) => {
  const perVrf = (
    statement: typeof statements.markOrphans,
    call: string,
    all: ReadonlyArray<Orphan>,
    parameters: (page: ReadonlyArray<Allocation>) => ReadonlyArray<string>,
  ) =>
    Effect.gen(function* () {
      const byVrf = Map.groupBy(
        all.map(({ allocation }) => allocation),
        ({ vrf }) => vrf,
      )
      let count = 0
      for (const [vrf, held] of byVrf) {
        const counts = yield* inPages(held, (page) =>
          Effect.map(query(statement, [vrf, ...keysOf(page), ...parameters(page)], { call, vrf }), (rows) => [
            Number(onlyRow(rows)["count"]),
          ]),
        )
        count += counts.reduce((sum, one) => sum + one, 0)
      }
      return count
    })
  return {
    mark: (all: ReadonlyArray<Orphan>, by: string) =>
      perVrf(statements.markOrphans, "mark_orphans", all, (page) => [
        arrayLiteral(page.map(({ generation }) => generation.toString())),
        by,
      ]),
    clear: (all: ReadonlyArray<Orphan>) => perVrf(statements.clearOrphanMarks, "clear_orphan_marks", all, () => []),
  }
}

const keysOf = (page: ReadonlyArray<Allocation>) => [
  arrayLiteral(page.map(({ requestId }) => requestId)),
  arrayLiteral(page.map(({ slot }) => slot)),
]
