/** The statements of the ledger: one call of one function of the database each. All may be sent again. */
import type { Row, Statement } from "../database/Database.ts"
import type { Operation } from "../contract/operation.ts"
import { Operation as OperationSchema } from "../contract/operation.ts"
import { reader } from "./rows.ts"

const call = (text: string): Statement => ({ text: `select * from ipam.${text}`, repeatable: true })
/** A call that answers one value a row. */
const value = (text: string): Statement => ({ text: `select ipam.${text}`, repeatable: true })

export const begin = call(
  "begin_operation($1, $2, $3, $4::text::jsonb, $5::text[], $6::text[], $7::text[], $8, $9, $10::double precision)",
)
export const unwind = call("unwind_operation($1, vrf => $2)")
export const finish = call(
  "finish_operation($1, vrf => $2, state => $3, result => $4::text::jsonb, error => $5::text::jsonb)",
)
export const cancel = call("cancel_operation($1, vrf => $2, kind => $3, error => $4::text::jsonb)")
export const resume = call("resume_operation($1, vrf => $2)")
export const markStuck = call("mark_stuck($1, vrf => $2, step => $3, error => $4)")
export const clearStuck = call("clear_stuck($1, vrf => $2)")
export const get = call("get_operation($1)")
export const hasPending = value("has_pending_operation($1, $2, $3, $4::uuid) as pending")
export const pending = call("pending_operations($1, $2, $3, $4::uuid)")
export const latest = call("latest_operation($1, $2, $3)")
export const history = call("list_operations($1, $2, $3, $4::bigint, $5::int)")
export const byState = call("list_operations_by_state($1, $2::bigint, $3::int)")
export const targetVrfs = value("target_vrfs($1, $2) as vrf")
export const identityVrfs = value("identity_vrfs($1, $2) as vrf")
export const prunable = call("prunable_operations($1::double precision, $2::bigint, $3::int)")
export const pruneOperations = value("prune_operations($1::double precision, $2::uuid[]) as pruned")
export const countExpired = value("count_expired($1) as count")
export const orphanCandidates = call("orphan_candidates($1, $2, $3::double precision, $4::inet, $5::int)")
export const markOrphans = value("mark_orphans($1, $2::uuid[], $3::text[], $4::bigint[], $5) as count")
export const clearOrphanMarks = value("clear_orphan_marks($1, $2::uuid[], $3::text[]) as count")
export const releaseOrphan = call("release_orphan($1, $2, $3, $4::bigint, $5, $6, $7::double precision)")
export const pruneKeys = value("prune_keys($1::double precision, $2::int) as pruned")

const read = reader("an operation", OperationSchema)

/** An operation from its row. */
export const toOperation = (row: Row): Operation =>
  read({
    outcome: row["outcome"],
    operationId: row["operation_id"],
    vrf: row["vrf"],
    kind: row["kind"],
    sequence: String(row["sequence"]),
    state: row["state"],
    payload: row["payload"],
    targets: row["targets"],
    executionId: row["execution_id"],
    stuck:
      row["stuck_since"] === null
        ? null
        : { since: row["stuck_since"], step: row["stuck_step"], error: row["stuck_error"] },
    result: row["result"],
    error: row["error"],
    begunAt: row["begun_at"],
    unwindingAt: row["unwinding_at"],
    finishedAt: row["finished_at"],
    expiresAt: row["expires_at"],
    cancelledAt: row["cancelled_at"],
    resumedAt: row["resumed_at"],
    prunedAt: row["pruned_at"],
  })
