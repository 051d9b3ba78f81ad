/**
 * Reads what the database holds before an import of a source: its VRF bindings, pools, keys and reservations.
 */
import * as Effect from "effect/Effect"
import { Allocator } from "../services/Allocator.ts"
import { Pools } from "../services/Pools.ts"
import { sender } from "../services/methods.ts"
import { importCalls } from "../contract/importCalls.ts"
import { Database } from "../database/Database.ts"
import { parseAddress } from "../domain/address.ts"
import type { Pool } from "../contract/pool.ts"
import * as Result from "effect/Result"
import type { NamedSpace } from "./inventory.ts"
import { addressOfSlot } from "./requestKeys.ts"
import { UNFINISHED, type ImportedKey, type PoolRange } from "./plan.ts"
import { CONCURRENCY, type KnownReservation } from "./protection.ts"
import { spanBetween } from "./spans.ts"
import { bindNew } from "./vrfBindings.ts"

/** The VRF of each address space. New bindings are stored, except in a dry run. */
export const bindSpaces = Effect.fnUntraced(function* (
  spaces: ReadonlyArray<NamedSpace>,
  { source, dryRun }: { readonly source: string; readonly dryRun: boolean },
) {
  const { query } = yield* Database
  const send = sender(query)
  const known = yield* send(importCalls.importBindings, { source })
  const fresh = bindNew(spaces, known)
  if (dryRun || fresh.length === 0) return [...known, ...fresh]
  return yield* send(importCalls.bindImport, { source, bindings: fresh })
})

/** The ranges of pools, with the pools' names as they are now, or as they will be when their import has finished. */
export const rangesOf = (pools: ReadonlyArray<Pool>, which: "as they are" | "as finished"): ReadonlyArray<PoolRange> =>
  pools.flatMap(({ vrf, name, id, ranges }) => {
    const pool = which === "as finished" && name.startsWith(UNFINISHED) ? name.slice(UNFINISHED.length) : name
    return ranges.map(({ first, last }) => ({ vrf, pool, id: String(id), span: spanBetween(first, last) }))
  })

/** All pools of all VRFs. */
export const readPools = Effect.fnUntraced(function* () {
  const { listPools } = yield* Pools
  // No VRF is named, so none can be unknown.
  return yield* Effect.catchTag(listPools(), "UnknownVrf", Effect.die)
})

/** All keys of the request id, in every VRF that has a pool. */
export const readKeys = Effect.fnUntraced(function* (pools: ReadonlyArray<Pool>, requestId: string) {
  const { list } = yield* Allocator
  const inVrf = (vrf: string) =>
    // Neither error can occur: no pool is named, and the VRF has one.
    Effect.catchTags(list({ vrf, requestId }), { UnknownPool: Effect.die, UnknownVrf: Effect.die })
  const found = yield* Effect.forEach(new Set(pools.map(({ vrf }) => vrf)), inVrf, { concurrency: CONCURRENCY })
  return found.flat().flatMap((key): ReadonlyArray<ImportedKey> => {
    const { vrf, slot, pool, owner } = key
    const address = parseAddress(addressOfSlot(slot))
    if (Result.isFailure(address)) return []
    return [{ vrf, slot, pool: pool ?? "", address: address.success, released: key.state === "released", owner }]
  })
})

/** All reservations that somebody asked for; those of network addresses and gateways are left out. */
export const readReservations = Effect.fnUntraced(function* (pools: ReadonlyArray<Pool>) {
  const { listReservations } = yield* Pools
  const ofPool = (pool: Pool) =>
    listReservations({ vrf: pool.vrf, pool: String(pool.id) }).pipe(
      // The pool was deleted meanwhile.
      Effect.catchTag("UnknownPool", () => Effect.succeed([])),
      Effect.map((reservations) =>
        reservations.flatMap(({ first, last, kind, reason }): ReadonlyArray<KnownReservation> => {
          const [poolRange] = rangesOf([pool], "as finished")
          return kind === "requested" && poolRange !== undefined
            ? [{ poolRange, span: spanBetween(first, last), reason }]
            : []
        }),
      ),
    )
  return (yield* Effect.forEach(pools, ofPool, { concurrency: CONCURRENCY })).flat()
})
