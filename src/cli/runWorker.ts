/** A worker of the command line: the sagas of modules, the reclaiming of what has expired, and a file that tells its health. */
import { rm, writeFile } from "node:fs/promises"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { Database } from "../database/Database.ts"
import type { ConnectOptions } from "../database/locate.ts"
import { serversOf } from "../database/servers.ts"
import { InvalidInput } from "../errors/errors.ts"
import { layer } from "../layer.ts"
import { SagaWorker, type SagaWorkerOptions } from "../saga/SagaWorker.ts"
import { Allocator } from "../services/Allocator.ts"
import { loadSagas, type SagaLayer } from "./sagaModules.ts"

interface RunWorkerOptions extends SagaWorkerOptions {
  readonly connect: ConnectOptions
  readonly files: ReadonlyArray<string>
  readonly healthFile: string | undefined
  /** Runs once the worker executes sagas. */
  readonly onReady: Effect.Effect<void>
}

/** Registers all sagas at the worker, in a scope. What a layer of the user fails with is no defect of this program. */
const serve = (layers: ReadonlyArray<SagaLayer>, scope: Scope.Scope) =>
  Effect.forEach(layers, (one) => Layer.buildWithScope(one, scope), { discard: true }).pipe(
    Effect.catchCause((cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
      const error = Cause.squash(cause)
      const message = error instanceof Error ? error.message : String(error)
      return Effect.fail(new InvalidInput({ field: "file", message: `file: its sagas cannot be served: ${message}` }))
    }),
  )

/** Releases what is past its ttl, again and again; an outage only delays it. A role that may not reclaim leaves it to others. */
const reclaiming = Allocator.use((allocator) => allocator.reclaimExpired()).pipe(
  Effect.catchTag("NotPermitted", () =>
    Effect.andThen(
      Effect.logWarning("The role of this worker may not reclaim; let another one run saga-ipam reclaim every minute"),
      Effect.never,
    ),
  ),
  Effect.tapError((error) => Effect.logWarning("Reclaiming failed and is tried again", error)),
  Effect.ignore,
  Effect.repeat(Schedule.spaced("15 seconds")),
)

/** Writes the time into the file as long as the database answers, and removes it at the end. */
const reportHealth = Effect.fnUntraced(function* (file: string) {
  const database = yield* Database
  const write = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.tryPromise({
      try: () => writeFile(file, `${new Date(now).toISOString()}\n`),
      catch: (thrown) =>
        new InvalidInput({ field: "health-file", message: `health-file: cannot be written: ${String(thrown)}` }),
    }),
  )
  yield* Effect.acquireRelease(write, () => Effect.promise(() => rm(file, { force: true })))
  // Where VRFs have servers of their own, one that is down is no fault of the worker, which serves the others.
  const ping = Effect.raceAll(serversOf(database).map((server) => server.ping))
  yield* Effect.andThen(ping, write).pipe(
    Effect.tapError((error) => Effect.logWarning("The worker is not healthy", error)),
    Effect.ignore,
    Effect.repeat(Schedule.spaced("5 seconds")),
    Effect.forkScoped,
  )
})

/** Runs until it is interrupted; then lets its sagas go on for `graceSeconds`, and hands back what has not ended. */
export const runWorker = ({ connect, files, healthFile, onReady, ...options }: RunWorkerOptions) =>
  Effect.gen(function* () {
    const modules = yield* Effect.forEach(files, loadSagas)
    const running = Effect.gen(function* () {
      // Closed after the worker: what the layers of the sagas hold is there as long as a saga may use it.
      const scope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
      const worker = yield* Layer.build(SagaWorker.layer(options))
      const layers = modules.flatMap((module) => module.layers)
      yield* Effect.provideContext(serve(layers, scope), worker)
      if (healthFile !== undefined) yield* reportHealth(healthFile)
      yield* onReady
      yield* reclaiming
    })
    yield* Effect.provide(Effect.scoped(running), layer(connect))
  })
