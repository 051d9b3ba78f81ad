/** Operations as text for people. Pure. */
import type { Operation, OperationOutcome, OperationState } from "../contract/operation.ts"
import type { SagaStatus } from "../saga/status.ts"
import { details, table } from "./output.ts"

const targetsText = ({ vrf, targets }: Operation): string =>
  targets.map((target) => `${target.kind}/${target.id}${target.vrf === vrf ? "" : ` in ${target.vrf}`}`).join(", ")

const stateText = ({ state, stuck }: Operation): string => (stuck === null ? state : `${state}, stuck in ${stuck.step}`)

const jsonText = (value: unknown): string | null =>
  value === null || value === undefined ? null : JSON.stringify(value)

const fieldsOf = (one: Operation): Parameters<typeof details>[0] => [
  ["operation", one.operationId],
  ["kind", one.kind],
  ["state", stateText(one)],
  ["vrf", one.vrf],
  ["targets", targetsText(one)],
  ["payload", jsonText(one.payload)],
  ["result", jsonText(one.result)],
  ["error", jsonText(one.error)],
  ["stuck since", one.stuck?.since],
  ["stuck with", one.stuck?.error],
  ["begun", one.begunAt],
  ["unwinding", one.unwindingAt],
  ["finished", one.finishedAt],
  ["expires", one.finishedAt === null ? one.expiresAt : null],
  ["cancelled", one.cancelledAt],
  ["resumed", one.resumedAt],
  ["pruned", one.prunedAt],
]

/** One operation, one field a line. */
export const operationText = (one: Operation): string => details(fieldsOf(one))

/** The effect of a cancel or a resume, and the operation after it. */
export const changeText = (one: Operation): string => `${effectText(one)}\n${operationText(one)}`

const effectText = ({ outcome, state }: Operation): string =>
  effects[outcome]?.[state] ?? `It has ended already (${state}); nothing was changed.`

const resumed = "Resumed: it continues where it stopped."
const notStuck = "It was not stuck; it was told to continue all the same."
const effects: { readonly [Outcome in OperationOutcome]?: { readonly [State in OperationState]?: string } } = {
  cancelled: {
    unwinding: "Cancelled: it unwinds before its next step.",
    unwound: "Cancelled before it began: it will never run.",
  },
  replayed: { unwinding: "It is unwinding already; nothing was changed." },
  resumed: { pending: resumed, unwinding: resumed },
  not_stuck: { pending: notStuck, unwinding: notStuck },
}

/** An operation, and where its saga is, if it is one of the saga log. */
export interface OperationOfSaga extends Operation {
  readonly saga: SagaStatus | null
}

/** What an operation that has not ended waits for; nothing where another engine executes it. */
const phaseText = ({ saga }: OperationOfSaga): string | null => {
  switch (saga?.phase) {
    case "queued":
      return "queued: no worker has claimed it"
    case "running":
      return `running on ${saga.worker ?? "a worker"}`
    case "waiting":
      return `waiting until ${saga.dueAt ?? "its time"}`
    case "stuck":
      return "stuck until it is resumed or cancelled"
    case "ended":
    case undefined:
      return null
  }
}

/** One operation with its saga: the fields, and a table of the steps. */
export const sagaText = (one: OperationOfSaga): string => {
  const { saga } = one
  if (saga === null) return operationText(one)
  const fields = details([
    ...fieldsOf(one),
    ["saga", phaseText(one)],
    ["version", saga.version],
    ["claims", saga.epoch],
    ["lease until", saga.phase === "running" ? saga.leaseUntil : null],
  ])
  const steps = table(
    ["STEP", "STATE", "BEGUN", "SETTLED", "WAITS UNTIL", "FAILED", "FAILING SINCE", "ERROR"],
    saga.steps.map((step) => [
      step.name,
      step.state,
      step.begunAt,
      step.settledAt,
      step.until,
      step.attempts,
      step.failingSince,
      step.lastError ?? jsonText(step.error),
    ]),
    "No steps yet.",
  )
  return `${fields}\n\n${steps}`
}

/** Several operations, one a line. */
export const sagaTable = (all: ReadonlyArray<OperationOfSaga>): string =>
  table(
    ["OPERATION", "KIND", "STATE", "VRF", "TARGETS", "BEGUN", "FINISHED", "SAGA"],
    all.map((one) => [
      one.operationId,
      one.kind,
      stateText(one),
      one.vrf,
      targetsText(one),
      one.begunAt,
      one.finishedAt,
      phaseText(one),
    ]),
    "No operations.",
  )
