/** Starts the reference flows, and cancels and resumes any flow, from a process that runs none. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Workflow from "effect/workflow/Workflow"
import { Database } from "../../../src/database/Database.ts"
import { layer } from "../../../src/layer.ts"
import type { ConnectOptions } from "../../../src/database/locate.ts"
import { factsOf, isIpamError } from "../../../src/errors/errorFacts.ts"
import { InvalidInput, NotFound } from "../../../src/errors/errors.ts"
import { parseInput } from "../../../src/contract/input.ts"
import type { Operation } from "../../../src/contract/operation.ts"
import { Operations } from "../../../src/services/Operations.ts"
import { starterLayer } from "../../../src/saga/engine.ts"
import { MESSAGES } from "../../../src/saga/engineTables.ts"
import { resumeExecution } from "../../../src/saga/resume.ts"
import * as Saga from "../../../src/saga/Saga.ts"
import { referenceFlows } from "./flows.ts"
import { InstanceCreate } from "./InstanceCreate.ts"
import { InstanceDelete } from "./InstanceDelete.ts"

type Kind = keyof typeof referenceFlows
const kinds = Object.keys(referenceFlows)
const isKind = (kind: string): kind is Kind => kinds.includes(kind)

const known = (kind: string): Effect.Effect<Kind, InvalidInput> =>
  isKind(kind)
    ? Effect.succeed(kind)
    : Effect.fail(new InvalidInput({ field: "flow", message: `flow: must be ${kinds.join(" or ")}` }))

const connected = <A, E, R>(options: ConnectOptions, use: Effect.Effect<A, E, R>) =>
  Effect.provide(use, Layer.merge(starterLayer(options), layer(options)))

const recordOf = Effect.fnUntraced(function* (operationId: string) {
  const found = yield* Operations.use((operations) => operations.getOperation({ operationId }))
  return found ?? (yield* new NotFound({ what: "operation", requestId: operationId }))
})

/** A flow as it was asked for, its payload checked; `InvalidInput` names the field. */
const asked = Effect.fnUntraced(function* (kind: string, payload: unknown) {
  switch (yield* known(kind)) {
    case "InstanceCreate": {
      const given = yield* Effect.fromResult(parseInput(InstanceCreate.payload)(payload))
      const execute = Effect.asVoid(InstanceCreate.execute(given))
      return { ids: InstanceCreate.ids(given), start: InstanceCreate.start(given), execute }
    }
    case "InstanceDelete": {
      const given = yield* Effect.fromResult(parseInput(InstanceDelete.payload)(payload))
      const execute = Effect.asVoid(InstanceDelete.execute(given))
      return { ids: InstanceDelete.ids(given), start: InstanceDelete.start(given), execute }
    }
  }
})

/** What became of a flow that was started: its operation, or only its id while no worker has begun it. */
export type Started = Operation | { readonly operationId: string; readonly state: "waiting" }

/** Starts a flow and waits for its end, whatever that is, unless `detach`. Waits for ever while no worker runs. */
export const startFlow = Effect.fnUntraced(function* (
  options: ConnectOptions,
  kind: string,
  payload: unknown,
  detach: boolean,
) {
  const flow = yield* asked(kind, payload)
  return yield* connected(
    options,
    Effect.gen(function* () {
      const { operationId } = yield* flow.ids
      if (detach) yield* flow.start
      else yield* Effect.catch(flow.execute, (error) => (isOutcome(error) ? Effect.void : Effect.fail(error)))
      const found = yield* Operations.use((operations) => operations.getOperation({ operationId }))
      const started: Started = found ?? { operationId, state: "waiting" }
      return started
    }),
  )
})

/** Whether an error is what the flow itself ended with: the ledger has it. */
const isOutcome = (error: { readonly _tag: string }): boolean =>
  error._tag !== "KeyReused" && (!isIpamError(error) || factsOf(error).saga === "unwind")

/** A flow that was started, whatever program defined it: to cancel and to resume it, its name and its execution are enough. */
const workflowOf = (name: string) =>
  Workflow.make(name, { payload: {}, success: Schema.Any, error: Schema.Any, idempotencyKey: () => "" })

/** The name under which the engine has the flow of an execution; `undefined` for one that it never had. */
const nameOf = Effect.fnUntraced(function* (executionId: string) {
  const { query } = yield* Database
  const [run] = yield* query(findRun, [executionId], { call: "find_flow" })
  return run === undefined ? undefined : String(run["name"])
})
const findRun = {
  text: `select substr(entity_type, 10) as name from ${MESSAGES} where entity_id = $1 and tag = 'run' and entity_type like 'Workflow/%'`,
  repeatable: true,
}

/**
 * Cancels the flow of an operation, and answers what that did. It is in the ledger first: it holds for a flow that no worker
 * has, for one that was never begun, at home in `vrf`, and for one of another engine, which learns it from its next call.
 */
export const cancelFlow = (options: ConnectOptions, operationId: string, vrf?: string) =>
  connected(
    options,
    Effect.gen(function* () {
      const operations = yield* Operations
      const known = yield* operations.getOperation({ operationId })
      const error = Schema.encodeSync(Saga.FlowCancelled)(new Saga.FlowCancelled({ operationId }))
      const answer = yield* operations.cancelOperation({ operationId, vrf: known?.vrf ?? vrf, error })
      const { outcome, executionId } = answer
      if (outcome === "operation_ended" || executionId === null) return answer
      const name = yield* nameOf(executionId)
      if (name !== undefined) yield* workflowOf(name).interrupt(executionId)
      return answer
    }),
  )

/** Lets the flow of an operation go on where it stopped, and answers what that did. */
export const resumeFlow = (options: ConnectOptions, operationId: string) =>
  connected(
    options,
    Effect.gen(function* () {
      const { vrf, executionId } = yield* recordOf(operationId)
      const answer = yield* Operations.use((operations) => operations.resumeOperation({ operationId, vrf }))
      if (answer.outcome === "operation_ended") return answer
      const name = yield* nameOf(executionId ?? "")
      if (executionId === null || name === undefined) {
        return yield* new InvalidInput({ field: "operation", message: "operation: has no flow in this engine" })
      }
      yield* resumeExecution(workflowOf(name), executionId)
      return answer
    }),
  )
