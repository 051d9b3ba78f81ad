/** Starts the reference flows, and cancels and resumes any flow, from a process that runs none. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Workflow from "effect/workflow/Workflow"
import { Database } from "../../database/Database.ts"
import { layer } from "../../layer.ts"
import type { ConnectOptions } from "../../database/locate.ts"
import { InvalidInput, NotFound } from "../../domain/errors.ts"
import { parseInput } from "../../domain/input.ts"
import type { Operation } from "../../domain/operation.ts"
import { Operations } from "../../operations/Operations.ts"
import { starterLayer } from "../engine.ts"
import { MESSAGES } from "../engineTables.ts"
import { resumeExecution } from "../resume.ts"
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
  const found = yield* Operations.use((operations) => operations.get({ operationId }))
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
      const found = yield* Operations.use((operations) => operations.get({ operationId }))
      const started: Started = found ?? { operationId, state: "waiting" }
      return started
    }),
  )
})

/** Whether an error is what the flow itself ended with: the ledger has it. */
const isOutcome = (error: { readonly _tag: string }): boolean =>
  error._tag !== "KeyReused" && error._tag !== "Contended" && error._tag !== "DatabaseUnavailable"

/** A flow that was started, whatever program defined it: to cancel and to resume it, its name and its execution are enough. */
const workflowOf = (name: string) =>
  Workflow.make(name, { payload: {}, success: Schema.Any, error: Schema.Any, idempotencyKey: () => "" })

const nameOf = Effect.fnUntraced(function* (executionId: string) {
  const { query } = yield* Database
  const [run] = yield* query(findRun, [executionId], { call: "find_flow" })
  if (run !== undefined) return String(run["name"])
  return yield* new InvalidInput({ field: "operation", message: "operation: has no flow in this engine" })
})
const findRun = {
  text: `select substr(entity_type, 10) as name from ${MESSAGES} where entity_id = $1 and tag = 'run' and entity_type like 'Workflow/%'`,
  repeatable: true,
}

const acts = {
  cancel: (workflow: ReturnType<typeof workflowOf>, executionId: string) => workflow.interrupt(executionId),
  resume: (workflow: ReturnType<typeof workflowOf>, executionId: string) => resumeExecution(workflow, executionId),
}

/** What has ended stays as it is. */
const onFlow = (verb: keyof typeof acts) =>
  Effect.fnUntraced(function* (options: ConnectOptions, { operationId, executionId, finishedAt }: Operation) {
    const act = Effect.flatMap(nameOf(executionId ?? ""), (name) => acts[verb](workflowOf(name), executionId ?? ""))
    return yield* connected(options, Effect.andThen(finishedAt === null ? act : Effect.void, recordOf(operationId)))
  })

/** Cancels the flow of an operation, and answers how far it is right after. */
export const cancelFlow = onFlow("cancel")
/** Lets the flow of an operation go on where it stopped. */
export const resumeFlow = onFlow("resume")
