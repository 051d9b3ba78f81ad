/** Operations as text for people. Pure. */
import type { Operation, OperationOutcome, OperationState } from "../contract/operation.ts"
import { details, table } from "./output.ts"

const targetsText = ({ vrf, targets }: Operation): string =>
  targets.map((target) => `${target.kind}/${target.id}${target.vrf === vrf ? "" : ` in ${target.vrf}`}`).join(", ")

const stateText = ({ state, stuck }: Operation): string => (stuck === null ? state : `${state}, stuck in ${stuck.step}`)

const jsonText = (value: unknown): string | null =>
  value === null || value === undefined ? null : JSON.stringify(value)

/** One operation, one field a line. */
export const operationText = (one: Operation): string =>
  details([
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
  ])

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

/** Several operations, one a line. */
export const operationTable = (all: ReadonlyArray<Operation>): string =>
  table(
    ["OPERATION", "KIND", "STATE", "VRF", "TARGETS", "BEGUN", "FINISHED"],
    all.map((one) => [
      one.operationId,
      one.kind,
      stateText(one),
      one.vrf,
      targetsText(one),
      one.begunAt,
      one.finishedAt,
    ]),
    "No operations.",
  )
