/** Operations as people read them. Pure. */
import type { Operation, OperationOutcome, OperationState } from "../contract/operation.ts"
import { details, table } from "./output.ts"

const targetsText = ({ vrf, targets }: Operation): string =>
  targets.map((target) => `${target.kind}/${target.id}${target.vrf === vrf ? "" : ` in ${target.vrf}`}`).join(", ")

const stateText = ({ state, stuck }: Operation): string => (stuck === null ? state : `${state}, stuck in ${stuck.step}`)

const jsonText = (value: unknown): string | null =>
  value === null || value === undefined ? null : JSON.stringify(value)

/** One operation, a line a field. */
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

/** What a cancel or a resume did, or why it did nothing, and the operation after it. */
export const verbText = (one: Operation): string => `${verbWords(one)}\n${operationText(one)}`

const verbWords = ({ outcome, state }: Operation): string =>
  verbs[outcome]?.[state] ?? `It has ended (${state}); nothing was changed.`

const resumed = "Told to go on where it stopped."
const notStuck = "It was not marked as stuck; told to go on all the same."
const verbs: { readonly [Outcome in OperationOutcome]?: { readonly [State in OperationState]?: string } } = {
  cancelled: {
    unwinding: "Cancelled: it unwinds from its next step on.",
    unwound: "Cancelled before it was begun: it will not run.",
  },
  replayed: { unwinding: "It unwinds already; nothing was changed." },
  resumed: { pending: resumed, unwinding: resumed },
  not_stuck: { pending: notStuck, unwinding: notStuck },
}

/** Several, a line each. */
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
