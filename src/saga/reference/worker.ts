/** A worker of the reference flows: the engine, the flows, and the reclaiming of what has expired. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { Allocator } from "../../services/Allocator.ts"
import { layer } from "../../layer.ts"
import { workerLayer, type WorkerOptions } from "../engine.ts"
import { startFakeDatacenter } from "./fakeDatacenter.ts"
import { referenceFlowsLayer } from "./flows.ts"

export interface ReferenceWorkerOptions extends WorkerOptions {
  /** The URL of a `fakeDatacenter`; one in this process, which forgets everything at its end, when left out. */
  readonly devices?: string | undefined
  /** Runs once the worker takes flows. */
  readonly onReady?: Effect.Effect<void>
}

const ownDevices = Effect.acquireRelease(
  Effect.promise(() => startFakeDatacenter()),
  (datacenter) => Effect.promise(datacenter.close),
)

/** Releases what ran past its ttl, again and again; an outage only delays it. */
const reclaiming = Allocator.use((allocator) => allocator.reclaimExpired()).pipe(
  Effect.tapError((error) => Effect.logWarning("Reclaiming failed and is tried again", error)),
  Effect.ignore,
  Effect.repeat(Schedule.spaced("15 seconds")),
)

/** Runs until it is interrupted. Fails when it cannot connect or listen. */
export const runWorker = ({
  devices,
  onReady = Effect.void,
  listen,
  takeoverSeconds,
  ...connect
}: ReferenceWorkerOptions) => {
  const flows = Layer.unwrap(
    Effect.map(
      devices === undefined ? Effect.map(ownDevices, ({ url }) => url) : Effect.succeed(devices),
      referenceFlowsLayer,
    ),
  )
  const everything = flows.pipe(
    Layer.provideMerge(workerLayer({ ...connect, listen, takeoverSeconds })),
    Layer.provideMerge(layer(connect)),
  )
  return Effect.andThen(onReady, reclaiming).pipe(Effect.provide(everything), Effect.andThen(Effect.never))
}
