/**
 * Imports a folder of NetBox's exports through the public calls: pools first, then what is reserved in them, then what is held.
 *
 * Safe to repeat and to resume: every call answers the same when it is made again, so an import that broke off half-way is
 * completed by the next one, and one that was complete changes nothing. It takes nothing away: what has gone from NetBox since
 * stays here.
 */
import * as Effect from "effect/Effect"
import { Allocator, type CallError } from "../allocator/Allocator.ts"
import { Pools } from "../allocator/Pools.ts"
import type { Drifted, IpamError } from "../domain/errors.ts"
import type { Pool } from "../domain/pool.ts"
import { inFileOrder, planImport, type Left, type Plan, type Source } from "./plan.ts"
import type { PlannedAllocation, PlannedPool, PlannedReservation } from "./plan.ts"
import { readFolder } from "./readFolder.ts"

/** What came of the entries of one kind of answer. */
interface Things {
  readonly pools: Array<PlannedPool>
  readonly reservations: Array<PlannedReservation>
  readonly allocations: Array<PlannedAllocation>
}

/** What an import did: what it made, what was there already, and what it left, with the reason. */
export interface ImportReport {
  readonly made: Things
  readonly existing: Things
  readonly left: ReadonlyArray<Left>
}

/** How many calls are under way at a time. */
const CONCURRENCY = 8

/** What ends an import; it may be repeated. Whatever else a call is refused with, it will be refused with again: the entry is left. */
type Ending = CallError | Drifted
const endings: ReadonlySet<string> = new Set<Ending["_tag"]>([
  "InvalidInput",
  "Contended",
  "DatabaseUnavailable",
  "DatabaseUnreachable",
  "DiskFull",
  "NotPermitted",
  "DatabaseMisconfigured",
  "SchemaTooOld",
  "SchemaTooNew",
  "Drifted",
])
const isEnding = (error: IpamError): error is Ending => endings.has(error._tag)

/** The outcome that an error stands for: `address_taken` of `AddressTaken`. */
const outcomeOf = (error: IpamError): string =>
  error._tag.replaceAll(/[A-Z]/g, (letter, at: number) => `${at === 0 ? "" : "_"}${letter.toLowerCase()}`)

const ordered = ({ pools, reservations, allocations }: Things): Things => ({
  pools: inFileOrder(pools),
  reservations: inFileOrder(reservations),
  allocations: inFileOrder(allocations),
})

const nothing = (): Things => ({ pools: [], reservations: [], allocations: [] })

/** Carries out a plan. Fails as the calls do, with a part of it done; made again, it does the rest. */
export const applyPlan = Effect.fn("netbox.applyPlan")(function* (
  plan: Plan,
): Effect.fn.Return<ImportReport, Ending, Allocator | Pools> {
  const { allocate } = yield* Allocator
  const { createPool, getPool, reserve } = yield* Pools
  const [made, existing] = [nothing(), nothing()]
  const left: Array<Left> = [...plan.left]

  /** The answer, or `undefined` when it was refused and the entry left. */
  const orLeave = <A>(
    { file, index, id, vrf }: Source & { readonly vrf: string },
    what: string,
    call: Effect.Effect<A, IpamError>,
  ): Effect.Effect<A | undefined, Ending> =>
    Effect.catch(call, (error) => {
      if (isEnding(error)) return Effect.fail(error)
      left.push({ file, index, id, vrf, what, reason: outcomeOf(error), message: error.message })
      return Effect.undefined
    })

  const pools = new Map<string, Pool>()
  const nameOf = ({ vrf, pool }: { readonly vrf: string; readonly pool: string }) => `${pool} ${vrf}`

  const makePool = Effect.fnUntraced(function* (one: PlannedPool) {
    const { vrf, pool, includeNetworkAddresses } = one
    const call = createPool({ vrf, name: pool, ranges: [pool], includeNetworkAddresses })
    const answer = yield* orLeave(one, pool, call)
    if (answer !== undefined) (answer.outcome === "created" ? made : existing).pools.push(one)
    // One that is there with another definition takes what it has room for.
    const known = answer ?? (yield* Effect.catchTag(getPool({ vrf, pool }), "UnknownPool", () => Effect.undefined))
    if (known !== undefined) pools.set(nameOf(one), known)
  })

  /** One after the other: whether one is new shows in the pool's count. */
  const reserveAll = Effect.fnUntraced(function* (all: ReadonlyArray<PlannedReservation>) {
    for (const one of all) {
      const { vrf, pool, range } = one
      const before = pools.get(nameOf(one))
      const after = yield* orLeave(one, range, reserve({ vrf, pool, range }))
      if (after === undefined) continue
      const isNew = before?.outcome === "created" || after.reserved !== before?.reserved
      ;(isNew ? made : existing).reservations.push(one)
      if (before?.outcome !== "created") pools.set(nameOf(one), after)
    }
  })

  const take = Effect.fnUntraced(function* (one: PlannedAllocation) {
    const { vrf, pool, address, requestId, owner } = one
    // What is active in NetBox is in use, whatever it is reserved for.
    const call = allocate({ vrf, pool, address, requestId, owner: owner ?? undefined, allowReserved: true })
    const answer = yield* orLeave(one, address, call)
    if (answer !== undefined) (answer.outcome === "allocated" ? made : existing).allocations.push(one)
  })

  const atATime = { concurrency: CONCURRENCY, discard: true } as const
  yield* Effect.forEach(plan.pools, makePool, atATime)
  yield* Effect.forEach(Map.groupBy(plan.reservations, nameOf).values(), reserveAll, atATime)
  // Neighbours wait for each other's extent; the order of the keys, which are hashes, keeps them apart.
  const scattered = plan.allocations.toSorted((a, b) => (a.requestId < b.requestId ? -1 : 1))
  yield* Effect.forEach(scattered, take, atATime)
  // Calls end in any order; who compares two reports should see only what differs.
  return { made: ordered(made), existing: ordered(existing), left: inFileOrder(left) }
})

/**
 * Imports the exports in the folder. Fails with `InvalidInput` when any of them is malformed, before anything is written; the
 * errors of the calls may come half-way, and the same import again is right then.
 */
export const importFolder = Effect.fn("netbox.importFolder")(function* (folder: string) {
  return yield* applyPlan(planImport(yield* readFolder(folder)))
})
