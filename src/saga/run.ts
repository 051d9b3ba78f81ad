/**
 * What the steps of one run of a flow share: the names that were used, the operation's id, and what becomes of failures.
 *
 * A run is one pass of the engine over the body of a workflow; after a crash or a suspension the next run replays what was
 * recorded. Nothing here outlives a run: what must, is in the engine's activities and in the ledger.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import { Abandon } from "effect/cluster/ClusterSchema"
import * as Workflow from "effect/workflow/Workflow"
import { WorkflowInstance, type WorkflowEngine } from "effect/workflow/WorkflowEngine"
import { operationIdOf } from "./operationId.ts"

/** What a flow tells whoever keeps the book of operations. A flow without a ledger tells nobody. */
export interface Reports {
  /** This step cannot go on. Called again and again while that lasts. */
  readonly stuck: (step: string, error: string) => Effect.Effect<void>
  /** The step went on after all. */
  readonly unstuck: Effect.Effect<void, never, WorkflowInstance>
}

export interface Run {
  readonly operationId: string
  readonly reports: Reports
  /**
   * Decides, once and for good, that the flow unwinds; false when it had succeeded before, so that nothing may be undone.
   * Every undo asks this first.
   */
  readonly decideToUnwind: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<boolean, never, Engine>
  /** An earlier run has decided to unwind: what is recorded is replayed, and nothing new goes forward. */
  refusing: boolean
  readonly names: Set<string>
}

/** What the engine gives to the body of a workflow. */
export type Engine = WorkflowEngine | WorkflowInstance

const runs = new WeakMap<WorkflowInstance["Service"], Run>()

const nobody: Reports = {
  stuck: (step, error) => Effect.logError(`The step ${JSON.stringify(step)} is stuck: ${error}`),
  unstuck: Effect.void,
}

/** Makes the run of the body that asks, with what a flow with a ledger knows better. */
export const openRun = (
  instance: WorkflowInstance["Service"],
  ledger?: Pick<Run, "reports" | "decideToUnwind">,
): Run => {
  const run: Run = {
    operationId: operationIdOf(instance.executionId),
    reports: ledger?.reports ?? nobody,
    decideToUnwind: ledger?.decideToUnwind ?? (() => Effect.succeed(true)),
    refusing: false,
    names: new Set(),
  }
  runs.set(instance, run)
  return run
}

/** The run of the body that asks. */
export const currentRun: Effect.Effect<Run, never, WorkflowInstance> = Effect.map(
  WorkflowInstance,
  (instance) => runs.get(instance) ?? openRun(instance),
)

/**
 * Ends this run without a result and without undoing anything, until an operator resumes the flow or cancels it. The next run
 * does again what stopped here. Works in a body and in an activity.
 */
export const suspendUntilResumed = (cause: Cause.Cause<unknown>): Effect.Effect<never, never, WorkflowInstance> =>
  Effect.flatMap(WorkflowInstance, (instance) => {
    instance.failed = true
    instance.cause = Cause.die(Cause.squash(cause))
    return Workflow.suspend(instance)
  })

/** Whether a flow is in what `onFailure` registered, which nothing interrupts. */
export const Finalizing = Context.Reference<boolean>("saga-ipam/saga/Finalizing", { defaultValue: () => false })

/**
 * Registers what the flow does when it has failed or was cancelled. Once this worker has lost the flow, it does nothing more of
 * it: the next run of the flow comes here again, on the worker that has it then.
 */
export const onFailure = <R>(finalizer: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void, never, R>) =>
  Workflow.addFinalizer<R | WorkflowInstance>((exit) =>
    Exit.isSuccess(exit)
      ? Effect.void
      : Effect.flatMap(WorkflowInstance, (instance) => {
          // A cancellation has nothing to add then. Else the engine would do nothing new in a run that is to be cancelled, not even
          // undo, until that run has an answer, which it then never gets.
          if (!Cause.hasInterruptsOnly(exit.cause)) instance.interrupted = true
          return Effect.onError(Effect.provideService(finalizer(exit), Finalizing, true), (cause) =>
            Effect.sync(() => {
              instance.abandoned ||= cause.reasons.some(
                (reason) => reason._tag === "Interrupt" && reason.annotations.has(Abandon.key),
              )
            }),
          )
        }),
  )

/** Between two tries of a call that may be made again. */
export const pauses = Schedule.min([Schedule.exponential("50 millis", 2), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered,
)

/** One line on what went wrong, for the ledger and the log. */
export const inWords = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
