/**
 * Lets a worker give up a flow that unwinds, when that flow moves to another worker: one that joined, or that took over.
 *
 * The engine moves a flow once it has stopped here. One that unwinds cannot be interrupted, and the activity that its next undo
 * sends is for its next worker, who does not have it yet: each would wait for the other.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Abandon, ShardGroup } from "effect/cluster/ClusterSchema"
import { EntityId } from "effect/cluster/EntityId"
import { Sharding } from "effect/cluster/Sharding"
import { WorkflowEngine, WorkflowInstance } from "effect/workflow/WorkflowEngine"
import { Finalizing } from "./run.ts"

/** How often is looked whether a flow that unwinds still is of this worker, in milliseconds. */
const LOOK_MS = 250

/** As the engine itself says that a flow goes on elsewhere. */
const abandon = Effect.failCause(Cause.annotate(Cause.interrupt(), Abandon.annotation))

export const movable = <E, R>(
  engines: Layer.Layer<WorkflowEngine, E, R>,
): Layer.Layer<WorkflowEngine, E, R | Sharding> =>
  Layer.effect(
    WorkflowEngine,
    Effect.gen(function* () {
      const engine = yield* WorkflowEngine
      const sharding = yield* Sharding

      /** Whether the flow of the activity is, or is about to be, another worker's. */
      const isLost = Effect.map(WorkflowInstance, ({ workflow, executionId }) => {
        const id = EntityId.make(executionId)
        const shard = sharding.getShardId(id, Context.get(workflow.annotations, ShardGroup)(id))
        return !sharding.hasShardId(shard)
      })
      const whenLost = Effect.repeat(Effect.delay(isLost, LOOK_MS), { until: (lost) => lost })

      const activityExecute: WorkflowEngine["Service"]["activityExecute"] = (activity, attempt) =>
        Effect.gen(function* () {
          if (!(yield* Finalizing)) return yield* engine.activityExecute(activity, attempt)
          if (yield* isLost) return yield* abandon
          // Fibers of their own, since this one cannot be interrupted, or was before. An answer that comes too late, from the
          // next worker, is for nobody.
          const answer = yield* Effect.forkDetach(engine.activityExecute(activity, attempt))
          const first = yield* Effect.forkDetach(
            Effect.raceFirst(Effect.asSome(Fiber.await(answer)), Effect.as(whenLost, Option.none())),
          )
          const exit = yield* Fiber.join(first)
          return Option.isSome(exit) ? yield* exit.value : yield* abandon
        })
      return WorkflowEngine.of({ ...engine, activityExecute })
    }),
  ).pipe(Layer.provide(engines))
