/** The calls that keep the tables in order: the doctor, its repair, merging, and forgetting what ended long ago. */
import * as Schema from "effect/Schema"
import { Finding, Repair } from "../errors/errors.ts"
import { always, anyRows, apart, byOutcome, call, gives, oneRow, partOf } from "./call.ts"
import { operationColumns } from "./operationCalls.ts"
import { arrayLiteral, reader, textOf, type Row } from "./row.ts"
import { RepairRequest } from "./poolRequests.ts"

const findingColumns = { check_name: "text", vrf: "text", pool: "text", detail: "text", repair: "text" } as const
const readFinding = reader("a finding", Finding)
const readRepair = reader("a repair", Repair)

/** Both read or rewrite whole pools. */
const atLeastMs = 600_000

export const doctorCalls = {
  /** What is inconsistent, of all pools in one snapshot; nothing when all is well. Changes nothing, and may take minutes. */
  doctor: call("doctor", {
    role: "operator",
    request: Schema.Struct({}),
    parameters: {},
    answer: anyRows(
      findingColumns,
      always((row) => readFinding({ ...row, check: row["check_name"] })),
    ),
    atLeastMs,
    everywhere: { kind: "all" },
  }),
  /**
   * Repairs one pool, beside any traffic; answers what it did. `Contended`: calls in flight were in its way, and it did nothing.
   */
  repairPool: call("repair", {
    role: "operator",
    request: RepairRequest,
    parameters: { vrf: "text", pool: "text" },
    answer: anyRows(
      { check_name: "text", detail: "text", done: "text" },
      always((row, { vrf, pool }: typeof RepairRequest.Type) =>
        readRepair({ ...row, check: row["check_name"], vrf, pool }),
      ),
    ),
    repeatable: false,
    atLeastMs,
  }),
}

type DoctorCallsDeclared = typeof doctorCalls
/** Their type under a name of its own, since declarations that spell it out lose the comments above. */
export interface DoctorCalls extends DoctorCallsDeclared {}

/** A function that answers one number. */
const numberIn = (column: string, type: "integer" | "bigint" = "integer") =>
  oneRow(
    { [column]: type },
    always((row) => Number(row[column])),
  )

/** Where a round of upkeep stands; nothing before the first step and after the last. */
interface UpkeepPlace {
  readonly afterVrf: string | null
  readonly afterPoolId: string | null
  readonly after: string | null
}

/** Before the first pool. */
export const upkeepBegins: UpkeepPlace = { afterVrf: null, afterPoolId: null, after: null }

export const upkeepCalls = {
  /** One step of a round over all pools: joins the free extents of one that releases left in pieces. */
  upkeep: partOf<UpkeepPlace>()("upkeep", {
    role: "operator",
    parameters: { after_vrf: "text", after_pool_id: "bigint", after: "inet" },
    answer: oneRow(
      { fewer: "integer", vrf: "text", pool_id: "bigint", last: "inet" },
      always((row): UpkeepPlace => {
        const [afterVrf, afterPoolId, after] = ["vrf", "pool_id", "last"].map((column) => textOf(row, column) ?? null)
        return { afterVrf: afterVrf ?? null, afterPoolId: afterPoolId ?? null, after: after ?? null }
      }),
    ),
    everywhere: apart,
  }),
  countExpired: partOf<{ readonly vrf?: string | undefined }>()("count_expired", {
    role: "operator",
    parameters: { vrf: "text" },
    answer: numberIn("count_expired", "bigint"),
    everywhere: apart,
  }),
  pruneKeys: partOf<{ readonly horizonSeconds: number; readonly maxRows: number }>()("prune_keys", {
    role: "operator",
    parameters: { horizon_seconds: "double precision", max_rows: "integer" },
    answer: numberIn("prune_keys"),
    everywhere: apart,
  }),
  /** Operations that ended before the horizon, in the order of their sequence. */
  prunableOperations: partOf<{
    readonly horizonSeconds: number
    readonly afterSequence: string | null
    readonly pageSize: number
  }>()("prunable_operations", {
    role: "operator",
    parameters: { horizon_seconds: "double precision", after_sequence: "bigint", page_size: "integer" },
    answer: anyRows(
      operationColumns,
      byOutcome({
        found: gives((row) => prunable(row, false)),
        held: gives((row) => prunable(row, true)),
      }),
    ),
    everywhere: apart,
  }),
  pruneOperations: partOf<{ readonly horizonSeconds: number; readonly operationIds: ReadonlyArray<string> }>()(
    "prune_operations",
    {
      role: "operator",
      parameters: {
        horizon_seconds: "double precision",
        operation_ids: ["uuid[]", ({ operationIds }) => arrayLiteral(operationIds)],
      },
      answer: numberIn("prune_operations"),
      everywhere: apart,
    },
  ),
}

/** An operation that ended long ago; `holds`: it still holds an address, and stays. */
export interface Prunable {
  readonly operationId: string
  readonly sequence: string
  readonly executionId: string | undefined
  readonly holds: boolean
}

const prunable = (row: Row, holds: boolean): Prunable => ({
  operationId: textOf(row, "operation_id") ?? "",
  sequence: textOf(row, "sequence") ?? "",
  executionId: textOf(row, "execution_id"),
  holds,
})
