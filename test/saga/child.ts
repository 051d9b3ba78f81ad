/**
 * A worker in a process of its own, which may be told to hold flows at a point each. It gets its orders as JSON in its only argument,
 * says `ready` once it runs, `held ID` of an execution at its point, and `ended REQUEST` as each flow that it was told to start has its end.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { WorkflowEngine, WorkflowInstance } from "effect/workflow/WorkflowEngine"
import { layer } from "../../src/layer.ts"
import { workerLayer } from "../../src/saga/engine.ts"
import { InstanceCreate } from "./reference/InstanceCreate.ts"
import { referenceFlowsLayer } from "./reference/flows.ts"

/** `before` its message is sent, `inside`, when it has had its effect and nobody knows, and `after` it is recorded. */
export type Phase = "before" | "inside" | "after"

/** A point of one flow. */
export interface Point {
  readonly executionId: string
  readonly activity: string
  readonly phase: Phase
}

export interface Orders {
  readonly url: string
  readonly port: number
  readonly devices: string
  readonly takeoverSeconds?: number
  readonly start: ReadonlyArray<Parameters<typeof InstanceCreate.start>[0]>
  /** Where to hold which flow, for good. */
  readonly hold?: ReadonlyArray<Point>
}

const orders = JSON.parse(process.argv[2] ?? "") as Orders

const points = new Map(orders.hold?.map((point) => [point.executionId, point]))
const holdAt = (executionId: string, activity: string, phase: Phase) =>
  Effect.suspend(() => {
    const point = points.get(executionId)
    if (point?.activity !== activity || point.phase !== phase) return Effect.void
    process.stdout.write(`held ${executionId}\n`)
    return Effect.never
  })

/** The engine, with a place to be held at before, inside and after each activity. */
const holding = Layer.effect(
  WorkflowEngine,
  Effect.map(WorkflowEngine, (engine) =>
    WorkflowEngine.of({
      ...engine,
      activityExecute: (activity, attempt) =>
        Effect.gen(function* () {
          const { executionId } = yield* WorkflowInstance
          const at = (phase: Phase) => holdAt(executionId, activity.name, phase)
          yield* at("before")
          const wrapped = Object.create(activity, {
            executeEncoded: {
              value: Effect.onExit(activity.executeEncoded, () => at("inside")),
            },
          }) as typeof activity
          const result = yield* engine.activityExecute(wrapped, attempt)
          yield* at("after")
          return result
        }),
    }),
  ),
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

const services = layer({ url: orders.url, applicationName: "child" })
const engine = Layer.provide(
  holding,
  workerLayer({
    url: orders.url,
    listen: { host: "127.0.0.1", port: orders.port },
    takeoverSeconds: orders.takeoverSeconds,
  }),
)
await Effect.runPromise(
  program.pipe(
    Effect.provide(referenceFlowsLayer(orders.devices).pipe(Layer.provideMerge(engine), Layer.provideMerge(services))),
  ),
)
