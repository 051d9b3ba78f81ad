/** Operations as people read them. Pure. */
import type { Operation } from "../domain/operation.ts"
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
    ["pruned", one.prunedAt],
  ])

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
