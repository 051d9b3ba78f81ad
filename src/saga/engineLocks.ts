/**
 * The locks by which each worker has its part of the flows, made to outlast an outage of the database.
 *
 * They belong to a connection, so that those of a worker that died are free at once, and so they are gone when the server was
 * restarted. By itself the engine then gives up every flow that is under way, and one that unwinds cannot be given up.
 *
 * Before it records an answer, a worker asks whether the flow still is its own, which is a write. Those who ask while another
 * write is under way are told by one that begins after it.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import { PersistenceError } from "effect/cluster/ClusterError"
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import type { ShardId } from "effect/cluster/ShardId"

/** How long a try may take: a statement of a few rows. */
const TRY_MS = 1000

/** A try on a connection that is gone may hang, and what gives it up makes a new connection. */
const soon = <A>(tried: Effect.Effect<A, PersistenceError>): Effect.Effect<A, PersistenceError> =>
  Effect.catchTag(Effect.timeout(tried, TRY_MS), "TimeoutError", (cause) =>
    Effect.fail(new PersistenceError({ cause })),
  )

const includes = (shards: ReadonlyArray<ShardId>, shard: ShardId): boolean =>
  shards.some((one) => Equal.equals(one, shard))

/** Those who wait for one write that has not begun, and what they ask about. */
interface Batch {
  readonly asked: Set<ShardId>
  readonly held: Deferred.Deferred<ReadonlyArray<ShardId>, PersistenceError>
}

/**
 * Waits for the database, as long as no other worker takes over. Takes back what was lost with a connection, unless it was given
 * back, another worker has it by now, or this one heard nothing of the database for so long that another one may have had it
 * meanwhile.
 */
export const regaining = <E, R>(
  runners: Layer.Layer<RunnerStorage, E, R>,
  takeoverSeconds: number,
): Layer.Layer<RunnerStorage, E, R> =>
  Layer.effect(
    RunnerStorage,
    Effect.gen(function* () {
      const storage = yield* RunnerStorage
      const longest = takeoverSeconds * 1000
      /** When each shard that the engine was given, and did not give back, was last known to be this worker's. */
      const knownAt = MutableHashMap.empty<ShardId, number>()
      const isFresh = (shard: ShardId, now: number) =>
        Option.exists(MutableHashMap.get(knownAt, shard), (known) => now - known < longest)
      const anyIsFresh = (shards: ReadonlyArray<ShardId>) =>
        Effect.map(Clock.currentTimeMillis, (now) => shards.some((shard) => isFresh(shard, now)))

      const renew = (address: RunnerAddress, asked: ReadonlyArray<ShardId>) => {
        const renewed = Effect.gen(function* () {
          const began = yield* Clock.currentTimeMillis
          const held = yield* storage.refresh(address, asked)
          const lost = asked.filter((shard) => !includes(held, shard))
          const now = yield* Clock.currentTimeMillis
          const wanted = lost.filter((shard) => isFresh(shard, now))
          const regained = wanted.length > 0 ? yield* storage.acquire(address, wanted) : []
          const ours = [...held, ...regained]
          for (const shard of asked) {
            if (!includes(ours, shard)) MutableHashMap.remove(knownAt, shard)
            else if (MutableHashMap.has(knownAt, shard)) MutableHashMap.set(knownAt, shard, began)
          }
          return ours
        })
        return soon(renewed).pipe(Effect.retry({ while: () => anyIsFresh(asked), schedule: Schedule.spaced(100) }))
      }

      const turn = Semaphore.makeUnsafe(1)
      let waiting: Batch | undefined
      const begin = (address: RunnerAddress): Effect.Effect<Batch> => {
        const batch: Batch = { asked: new Set(), held: Deferred.makeUnsafe() }
        waiting = batch
        const write = Effect.suspend(() => {
          waiting = undefined
          return renew(address, [...batch.asked])
        })
        return Effect.as(Effect.forkDetach(Deferred.into(turn.withPermits(1)(write), batch.held)), batch)
      }

      return RunnerStorage.of({
        ...storage,
        acquire: (address, shards) =>
          Effect.gen(function* () {
            const began = yield* Clock.currentTimeMillis
            const acquired = yield* storage.acquire(address, shards)
            for (const shard of acquired) MutableHashMap.set(knownAt, shard, began)
            return acquired
          }),
        // After what is under way, which may just take it back.
        release: (address, shard) =>
          Effect.suspend(() => {
            MutableHashMap.remove(knownAt, shard)
            return turn.withPermits(1)(soon(storage.release(address, shard)))
          }),
        releaseAll: (address) =>
          Effect.suspend(() => {
            MutableHashMap.clear(knownAt)
            return turn.withPermits(1)(soon(storage.releaseAll(address)))
          }),
        refresh: (address, shards) => {
          const asked = [...shards]
          if (asked.length === 0) return storage.refresh(address, asked)
          return Effect.gen(function* () {
            const batch = waiting ?? (yield* begin(address))
            for (const shard of asked) batch.asked.add(shard)
            // Who asks gives up all flows if that takes a third of the time; better once the database is there to begin again.
            const held = yield* Effect.uninterruptible(Deferred.await(batch.held))
            return asked.filter((shard) => includes(held, shard))
          })
        },
      })
    }),
  ).pipe(Layer.provide(runners))
