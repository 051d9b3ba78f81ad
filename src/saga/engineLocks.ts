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
import * as MutableHashSet from "effect/MutableHashSet"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import { PersistenceError } from "effect/cluster/ClusterError"
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import type { ShardId } from "effect/cluster/ShardId"

/** How long a try may take: a statement of a few rows. */
const TRY_MS = 1000

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
      let heardAt = 0
      /** What the engine was given and did not give back. */
      const given = MutableHashSet.empty<ShardId>()
      const isGiven = (shard: ShardId) => MutableHashSet.has(given, shard)

      const renew = (address: RunnerAddress, asked: ReadonlyArray<ShardId>) => {
        const renewed = Effect.gen(function* () {
          const held = yield* storage.refresh(address, asked)
          const now = yield* Clock.currentTimeMillis
          const lost = asked.filter((shard) => !held.some((one) => Equal.equals(one, shard)))
          const wanted = now - heardAt < longest ? lost.filter(isGiven) : []
          const regained = wanted.length > 0 ? yield* storage.acquire(address, wanted) : []
          heardAt = now
          return [...held, ...regained]
        })
        // A try on a connection that is gone may hang, and what gives it up makes a new connection.
        return Effect.timeout(renewed, TRY_MS).pipe(
          Effect.retry(Schedule.while(Schedule.spaced(100), ({ elapsed }) => elapsed < longest && asked.some(isGiven))),
          Effect.catchTag("TimeoutError", (cause) => Effect.fail(new PersistenceError({ cause }))),
        )
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
          Effect.tap(storage.acquire(address, shards), (acquired) =>
            Effect.map(Clock.currentTimeMillis, (now) => {
              heardAt = Math.max(heardAt, now)
              for (const shard of acquired) MutableHashSet.add(given, shard)
            }),
          ),
        // After what is under way, which may just take it back.
        release: (address, shard) =>
          Effect.suspend(() => {
            MutableHashSet.remove(given, shard)
            return turn.withPermits(1)(storage.release(address, shard))
          }),
        releaseAll: (address) =>
          Effect.suspend(() => {
            MutableHashSet.clear(given)
            return turn.withPermits(1)(storage.releaseAll(address))
          }),
        refresh: (address, shards) => {
          const asked = [...shards]
          if (asked.length === 0) return storage.refresh(address, asked)
          return Effect.gen(function* () {
            const batch = waiting ?? (yield* begin(address))
            for (const shard of asked) batch.asked.add(shard)
            // Who asks would give up after a third of the time, and with that all flows.
            const held = yield* Effect.uninterruptible(Deferred.await(batch.held))
            return asked.filter((shard) => held.some((one) => Equal.equals(one, shard)))
          })
        },
      })
    }),
  ).pipe(Layer.provide(runners))
