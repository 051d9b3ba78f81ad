/**
 * A worker in a process of its own, which may be told to die at one point of one flow. It gets its orders as JSON in its only
 * argument, says `ready` once it runs, and `ended ID` as each flow that it was told to start has its end.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { WorkflowEngine, WorkflowInstance } from "effect/workflow/WorkflowEngine"
import { layer } from "../../src/layer.ts"
import { workerLayer } from "../../src/saga/engine.ts"
import { InstanceCreate } from "../../src/saga/reference/InstanceCreate.ts"
import { referenceFlowsLayer } from "../../src/saga/reference/flows.ts"

/** `before` its message is sent, `inside`, when it has had its effect and nobody knows, and `after` it is recorded. */
export type Phase = "before" | "inside" | "after"

export interface Orders {
  readonly url: string
  readonly port: number
  readonly devices: string
  readonly takeoverSeconds?: number
  readonly start: ReadonlyArray<Parameters<typeof InstanceCreate.start>[0]>
  readonly die?: { readonly executionId: string; readonly activity: string; readonly phase: Phase } | undefined
}

const orders = JSON.parse(process.argv[2] ?? "") as Orders

const dieAt = (executionId: string, activity: string, phase: Phase) =>
  Effect.sync(() => {
    const { die } = orders
    if (die?.executionId === executionId && die.activity === activity && die.phase === phase) {
      process.kill(process.pid, "SIGKILL")
    }
  })

/** The engine, with a fuse before and after each activity. */
const fused = Layer.effect(
  WorkflowEngine,
  Effect.map(WorkflowEngine, (engine) =>
    WorkflowEngine.of({
      ...engine,
      activityExecute: (activity, attempt) =>
        Effect.gen(function* () {
          const { executionId } = yield* WorkflowInstance
          const at = (phase: Phase) => dieAt(executionId, activity.name, phase)
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
  fused,
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
