/** What looks orphaned: finding it pool by pool, and the marks by which the next run recognises it. */
import * as Effect from "effect/Effect"
import type { CallError } from "../database/Database.ts"
import type { Allocation } from "../contract/allocation.ts"
import type { Pool } from "../contract/pool.ts"
import type { OwnerAsked } from "./owners.ts"
import { reconcilerCalls } from "../contract/reconcilerCalls.ts"
import { sender, type Query } from "./methods.ts"

type Candidate = Omit<Orphan, "owner">

/** Something held for an owner; `markedSeconds`: how long ago it was marked as an orphan, `null` when it was not. */
export interface Orphan {
  readonly allocation: Allocation
  readonly owner: OwnerAsked
  readonly markedSeconds: number | null
}

type Ask<E, R> = (
  held: ReadonlyArray<Orphan>,
) => Effect.Effect<{ readonly absent: ReadonlyArray<Orphan>; readonly present: ReadonlyArray<Orphan> }, E, R>

const PAGE = 1000

const toOrphan = ({ allocation, markedSeconds }: Candidate): Orphan => {
  const { vrf, owner } = allocation
  if (owner === null) throw new Error("The database answered a candidate without an owner")
  return { allocation, owner: { vrf, ...owner }, markedSeconds }
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
  const send = sender(query)
  const orphans: Array<Orphan> = []
  const revived: Array<Orphan> = []
  let afterAddress: string | null = null
  for (;;) {
    const request = { vrf, pool: name, graceSeconds, afterAddress, pageSize: PAGE }
    const candidates: ReadonlyArray<Candidate> = yield* send(reconcilerCalls.orphanCandidates, request)
    const page = candidates.map(toOrphan)
    const asked = yield* ask(page)
    orphans.push(...asked.absent)
    revived.push(...asked.present.filter(({ markedSeconds }) => markedSeconds !== null))
    if (page.length < PAGE) return { orphans, revived }
    afterAddress = page.at(-1)?.allocation.address ?? null
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
  const send = sender(query)
  const perVrf = (
    all: ReadonlyArray<Orphan>,
    call: (vrf: string, keys: ReadonlyArray<Allocation>) => Effect.Effect<number, CallError>,
  ) =>
    Effect.gen(function* () {
      const byVrf = Map.groupBy(
        all.map(({ allocation }) => allocation),
        ({ vrf }) => vrf,
      )
      let count = 0
      for (const [vrf, held] of byVrf) {
        const counts = yield* inPages(held, (keys) => Effect.map(call(vrf, keys), (one) => [one]))
        count += counts.reduce((sum, one) => sum + one, 0)
      }
      return count
    })
  return {
    mark: (all: ReadonlyArray<Orphan>, by: string) =>
      perVrf(all, (vrf, keys) => send(reconcilerCalls.markOrphans, { vrf, keys, by })),
    clear: (all: ReadonlyArray<Orphan>) =>
      perVrf(all, (vrf, keys) => send(reconcilerCalls.clearOrphanMarks, { vrf, keys })),
  }
}
