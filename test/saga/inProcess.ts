/**
 * A worker of the reference flows in the process of the test: each of its activities can be held at a point, or done twice in a
 * row, and the order in which they were done is known.
 */
import { setTimeout as pause } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import type { SqlClient } from "effect/sql/SqlClient"
import { WorkflowEngine, WorkflowInstance } from "effect/workflow/WorkflowEngine"
import type { Allocator } from "../../src/services/Allocator.ts"
import { layer } from "../../src/layer.ts"
import type { Database } from "../../src/database/Database.ts"
import type { Operations } from "../../src/services/Operations.ts"
import { workerLayer } from "../../src/saga/engine.ts"
import { Devices } from "./reference/Devices.ts"
import { referenceFlowsLayer } from "./reference/flows.ts"
import { InstanceCreate } from "./reference/InstanceCreate.ts"
import { Instances } from "./reference/Instances.ts"
import type { Phase } from "./child.ts"
import { freePort, idsOf, type Create, type World } from "./world.ts"

type Services = WorkflowEngine | SqlClient | Allocator | Operations | Database | Devices | Instances

/** One activity of one flow, held. It stays so until `open`, or until the flow is interrupted there. */
export interface Hold {
  readonly reached: Promise<void>
  readonly open: () => void
}

export interface InProcess {
  readonly run: <A, E>(effect: Effect.Effect<A, E, Services>) => Promise<A>
  /** Runs a flow to its end: `succeeded`, or the tag of its error. */
  readonly create: (payload: Create) => Promise<string>
  /** Before an activity begins, `inside`, when it has had its effect and nothing is recorded, or `after` it is recorded. */
  readonly hold: (executionId: string, activity: string, phase: Phase) => Hold
  /** From now on, activities of this flow whose names match are done twice, with something in between; only the second answer counts. */
  readonly twice: (executionId: string, activities: RegExp, between?: () => Promise<unknown>) => void
  /** What was done for a flow, in that order. Twice in a row counts once; what was recorded is not done again. */
  readonly done: (executionId: string) => ReadonlyArray<string>
  /** Cancels a flow that has not ended, and waits until the engine has seen that. */
  readonly cancel: (payload: Create) => Promise<void>
  readonly close: () => Promise<void>
}

/** Resolves once an engine has seen that the flow is to be cancelled. */
export const untilCancelSeen = ({ session }: World, executionId: string): Promise<unknown> =>
  session.until(
    "select from ipam_engine.engine_messages where entity_id = $1 and tag = 'deferred' and last_read is not null",
    [executionId],
  )

/** `flows`: flows of the test, besides the reference flows. */
export const startInProcess = async (
  world: World,
  options: { readonly port?: number; readonly flows?: Layer.Layer<never, never, Services> } = {},
): Promise<InProcess> => {
  const holds = new Map<string, { readonly reach: () => void; readonly opened: Promise<void> }>()
  const doubled = new Map<string, { readonly activities: RegExp; readonly between: () => Promise<unknown> }>()
  const done = new Map<string, Array<string>>()

  const watched = Layer.effect(
    WorkflowEngine,
    Effect.map(WorkflowEngine, (engine) =>
      WorkflowEngine.of({
        ...engine,
        activityExecute: (activity, attempt) =>
          Effect.gen(function* () {
            const { executionId } = yield* WorkflowInstance
            const at = (phase: Phase) =>
              Effect.suspend(() => {
                const held = holds.get(`${executionId} ${activity.name} ${phase}`)
                held?.reach()
                return held === undefined ? Effect.void : Effect.promise(() => held.opened)
              })
            const once = activity.executeEncoded as Effect.Effect<unknown, unknown>
            const executeEncoded = Effect.gen(function* () {
              done.set(executionId, [...(done.get(executionId) ?? []), activity.name])
              const twice = doubled.get(executionId)
              if (twice?.activities.test(activity.name) === true) {
                yield* Effect.exit(once)
                yield* Effect.promise(twice.between)
              }
              const exit = yield* Effect.exit(once)
              yield* at("inside")
              return yield* exit
            })
            yield* at("before")
            const wrapped = Object.create(activity, { executeEncoded: { value: executeEncoded } }) as typeof activity
            const result = yield* engine.activityExecute(wrapped, attempt)
            yield* at("after")
            return result
          }),
      }),
    ),
  )
  const url = world.database.url()
  const port = options.port ?? (await freePort())
  const engine = Layer.provideMerge(watched, workerLayer({ url, listen: { host: "127.0.0.1", port } }))
  const devices = Layer.mergeAll(Devices.layer(world.devices.url), Instances.layer)
  const flows = Layer.merge(referenceFlowsLayer(world.devices.url), options.flows ?? Layer.empty)
  const runtime = ManagedRuntime.make(
    flows.pipe(Layer.provideMerge(devices), Layer.provideMerge(engine), Layer.provideMerge(layer({ url }))),
  )
  return {
    run: (effect) => runtime.runPromise(effect as never),
    create: (payload) =>
      runtime.runPromise(
        Effect.match(InstanceCreate.execute(payload), {
          onFailure: ({ _tag }) => _tag as string,
          onSuccess: () => "succeeded",
        }),
      ),
    hold: (executionId, activity, phase) => {
      const reached = Promise.withResolvers<void>()
      const opened = Promise.withResolvers<void>()
      holds.set(`${executionId} ${activity} ${phase}`, { reach: reached.resolve, opened: opened.promise })
      return { reached: reached.promise, open: opened.resolve }
    },
    twice: (executionId, activities, between = () => Promise.resolve()) => {
      doubled.set(executionId, { activities, between })
    },
    done: (executionId) => done.get(executionId) ?? [],
    cancel: async (payload) => {
      const { outcome } = await runtime.runPromise(InstanceCreate.cancel(payload))
      if (outcome === "operation_ended") return
      await untilCancelSeen(world, (await idsOf(payload)).executionId)
      // What was read is on its way to the flow.
      await pause(100)
    },
    close: () => runtime.dispose(),
  }
}
