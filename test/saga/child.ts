/**
 * A worker of the saga log in a process of its own, which may be told to stand still at a statement. It gets its orders as JSON in its
 * only argument, says `ready` once it runs, `held ID` of an operation at its statement, and `ended REQUEST` as each saga that it was
 * told to execute has its end.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { layer } from "../../src/layer.ts"
import { SagaWorker, type SagaWorkerOptions } from "../../src/saga/SagaWorker.ts"
import { Allocator } from "../../src/services/Allocator.ts"
import { Operations } from "../../src/services/Operations.ts"
import { InstanceCreate, instanceCreateLayer, type Create } from "./instance.ts"
import { watchedDatabase, type Statement } from "./statements.ts"

export interface Orders {
  readonly url: string
  readonly devices: string
  readonly worker?: SagaWorkerOptions
  readonly start: ReadonlyArray<Create>
  /** Where to stand still in which operation, for good. */
  readonly hold?: ReadonlyArray<Statement & { readonly operationId: string; readonly phase: "before" | "after" }>
}

const orders = JSON.parse(process.argv[2] ?? "") as Orders
const points = new Map(orders.hold?.map((point) => [point.operationId, point]))

const holding = watchedDatabase((operationId, statement, phase) =>
  Effect.suspend(() => {
    const point = points.get(operationId)
    if (point?.call !== statement.call || point.nth !== statement.nth || point.phase !== phase) return Effect.void
    process.stdout.write(`held ${operationId}\n`)
    return Effect.never
  }),
)

const program = Effect.gen(function* () {
  process.stdout.write("ready\n")
  yield* Effect.forEach(
    orders.start,
    (payload) =>
      Effect.flatMap(Effect.exit(InstanceCreate.execute(payload)), (exit) =>
        Effect.sync(() =>
          process.stdout.write(`ended ${payload.request} ${Exit.isSuccess(exit) ? "succeeded" : String(exit.cause)}\n`),
        ),
      ),
    { concurrency: "unbounded", discard: true },
  )
  yield* Effect.never
})

const services = Layer.mergeAll(Allocator.layer, Operations.layer).pipe(
  Layer.provideMerge(holding),
  Layer.provide(layer({ url: orders.url, applicationName: "child" })),
)
await Effect.runPromise(
  program.pipe(
    Effect.provide(
      instanceCreateLayer(orders.devices).pipe(
        Layer.provideMerge(SagaWorker.layer(orders.worker)),
        Layer.provideMerge(services),
      ),
    ),
  ),
)
