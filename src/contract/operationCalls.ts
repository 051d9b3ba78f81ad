/**
 * The calls on the ledger of operations.
 *
 * The comment of each call is what an editor shows at the service's method and at that of `saga-ipam/promise`, and what the
 * reference says.
 */
import * as Schema from "effect/Schema"
import { AllocationsLost, KeyExpired, KeyReused, NotFound, OperationEnded, TargetBusy } from "../errors/errors.ts"
import {
  anyRows,
  atMostOneRow,
  byOutcome,
  call,
  gives,
  oneRow,
  partOf,
  refuses,
  unambiguousRow,
  always,
} from "./call.ts"
import { Operation, type Target } from "./operation.ts"
import {
  BeginRequest,
  CancelRequest,
  FinishRequest,
  IdentityRequest,
  ListOperationsByStateRequest,
  ListOperationsInVrfRequest,
  OperationIdRequest,
  OperationRequest,
  PendingRequest,
  StuckRequest,
  TargetInVrfRequest,
} from "./operationRequests.ts"
import { arrayLiteral, fieldsIn, reader, type Columns, type Row } from "./row.ts"

/** The columns of `ipam.operation_answer`. */
export const operationColumns = {
  outcome: "text",
  operation_id: "uuid",
  vrf: "text",
  kind: "text",
  sequence: "bigint",
  state: "text",
  payload: "jsonb",
  targets: "jsonb",
  execution_id: "text",
  stuck_since: "timestamp with time zone",
  stuck_step: "text",
  stuck_error: "text",
  result: "jsonb",
  error: "jsonb",
  begun_at: "timestamp with time zone",
  unwinding_at: "timestamp with time zone",
  finished_at: "timestamp with time zone",
  pruned_at: "timestamp with time zone",
  detail: "jsonb",
  expires_at: "timestamp with time zone",
  cancelled_at: "timestamp with time zone",
  resumed_at: "timestamp with time zone",
} satisfies Columns

const readOperation = reader("an operation", Operation)
const operationFields = fieldsIn(operationColumns)
export const toOperation = (row: Row): Operation =>
  readOperation({
    ...operationFields(row),
    stuck:
      row["stuck_since"] === null
        ? null
        : { since: row["stuck_since"], step: row["stuck_step"], error: row["stuck_error"] },
  })

export interface AskedOperation {
  readonly vrf: string
  readonly operationId: string
}
const keyOf = ({ vrf, operationId }: AskedOperation) => ({ vrf, requestId: operationId })

const elsewhereIn = reader("an operation of another VRF", Schema.Struct({ vrfs: Schema.Array(Schema.String) }))
const lostIn = reader("lost allocations", Schema.Struct({ count: Schema.Int, lost: AllocationsLost.fields.lost }))
const busyIn = reader("busy targets", Schema.Struct({ count: Schema.Int, pending: TargetBusy.fields.pending }))
const differenceIn = reader("a reused operation", Schema.Struct({ differs: Schema.Array(Schema.String) }))

const operation = gives(toOperation)
const not_found = refuses(NotFound, (row, asked: AskedOperation) => ({
  what: "operation",
  ...keyOf(asked),
  ...elsewhereIn(row["detail"]),
}))
const key_expired = refuses(KeyExpired, (_, asked: AskedOperation) => keyOf(asked))
const ended = refuses(OperationEnded, (row, asked: AskedOperation) => ({
  ...keyOf(asked),
  status: toOperation(row).state,
}))
const nothing = () => null
const found = byOutcome({ found: operation })

/** An address of an operation that was to succeed is lost. */
export const lostAllocations = (row: Row, asked: AskedOperation) =>
  new AllocationsLost({ ...keyOf(asked), ...lostIn(row["detail"]) })

/** Why no operation begins. */
export const beginRefusals = {
  operation_reused: refuses(KeyReused, (row, asked: AskedOperation) => ({
    ...keyOf(asked),
    ...differenceIn(row["detail"]),
  })),
  key_expired,
  target_busy: refuses(TargetBusy, (row, asked: AskedOperation) => ({ ...keyOf(asked), ...busyIn(row["detail"]) })),
}

const ofOperation = { operation_id: "uuid", vrf: "text" } as const
const ofTarget = { vrf: "text", kind: "text", id: "text" } as const
const page = {
  before_sequence: ["bigint", ({ before }: { readonly before?: bigint | undefined }) => before?.toString()],
  page_size: "integer",
} as const

/** The one VRF that has an object of a kind and id. */
const onlyVrf = <A>(column: string, read: (vrf: string, asked: typeof IdentityRequest.Type) => A) =>
  unambiguousRow(
    { [column]: "text" },
    always((row, asked: typeof IdentityRequest.Type) => read(String(row[column]), asked)),
    nothing,
    (rows, { kind, id }: typeof IdentityRequest.Type) => ({
      identity: `${kind} ${id}`,
      candidates: rows.map((row) => ({ vrf: String(row[column]), id })),
    }),
  )

interface Beginning {
  readonly vrf: string
  readonly payload: unknown
  readonly targets: ReadonlyArray<{ readonly vrf?: string | undefined; readonly kind: string; readonly id: string }>
}

/** The VRFs of the targets, in their order. */
export const targetVrfs = ({ vrf, targets }: Beginning): ReadonlyArray<string> =>
  targets.map((target) => target.vrf ?? vrf)

/** What an operation begins with. */
export const beginning = {
  ...ofOperation,
  kind: "text",
  payload: ["jsonb", ({ payload }: Beginning) => JSON.stringify(payload)],
  target_vrfs: ["text[]", (request: Beginning) => arrayLiteral(targetVrfs(request))],
  target_kinds: ["text[]", ({ targets }: Beginning) => arrayLiteral(targets.map((target) => target.kind))],
  target_ids: ["text[]", ({ targets }: Beginning) => arrayLiteral(targets.map((target) => target.id))],
} as const

export const operationCalls = {
  /**
   * Begins an operation (`begun`), or finds it begun (`replayed`), in whatever state it is by now: only one that is `pending`
   * may go forward. `KeyReused`: begun with other arguments. `TargetBusy`: it asked to be alone on its targets and is not.
   * Waits for whoever gates on one of its targets.
   */
  beginOperation: call("begin_operation", {
    role: "allocator",
    request: BeginRequest,
    parameters: {
      ...beginning,
      execution_id: "text",
      exclusive: "boolean",
      expires_in_seconds: "double precision",
    },
    answer: oneRow(
      operationColumns,
      byOutcome({
        begun: operation,
        replayed: operation,
        ...beginRefusals,
      }),
    ),
    otherVrfs: targetVrfs,
  }),
  /**
   * Decides that it unwinds: from now on nothing is allocated under it, and it can only end as `unwound`. It stays pending until
   * then. One that has ended stays as it is, which the answer says: where its state is `succeeded`, undo nothing.
   */
  unwindOperation: call("unwind_operation", {
    role: "allocator",
    request: OperationRequest,
    parameters: ofOperation,
    answer: oneRow(
      operationColumns,
      byOutcome({ unwinding: operation, replayed: operation, operation_ended: operation, not_found }),
    ),
  }),
  /**
   * Ends it together with its addresses, in all VRFs, in one commit: `succeeded` confirms what is provisional, `unwound` releases
   * all that it still holds. `OperationEnded`: it ended otherwise, or was to succeed and unwinds. `AllocationsLost`: it was to
   * succeed, and an address of it was reclaimed, or released by a person.
   */
  finishOperation: call("finish_operation", {
    role: "allocator",
    request: FinishRequest,
    parameters: {
      ...ofOperation,
      state: "text",
      result: ["jsonb", ({ result }) => JSON.stringify(result)],
      error: ["jsonb", ({ error }) => JSON.stringify(error)],
    },
    answer: oneRow(
      operationColumns,
      byOutcome({
        finished: operation,
        replayed: operation,
        operation_ended: ended,
        operation_unwinding: refuses(OperationEnded, (_, asked: AskedOperation) => ({
          ...keyOf(asked),
          status: "unwinding",
        })),
        allocations_lost: refuses(AllocationsLost, (row, asked: AskedOperation) => ({
          ...keyOf(asked),
          ...lostIn(row["detail"]),
        })),
        not_found,
      }),
    ),
  }),
  /**
   * Records that it shall unwind, whether anybody works on it or not, and answers what that did: `cancelled` (it unwinds from now
   * on, or was never begun and is `unwound`), `replayed` (it unwinds already), `operation_ended` (nothing). It undoes nothing itself.
   */
  cancelOperation: call("cancel_operation", {
    role: "allocator",
    request: CancelRequest,
    parameters: { ...ofOperation, kind: "text", error: ["jsonb", ({ error }) => JSON.stringify(error)] },
    answer: oneRow(
      operationColumns,
      byOutcome({ cancelled: operation, replayed: operation, operation_ended: operation, not_found, key_expired }),
    ),
  }),
  /** Records that it shall go on where it stopped: `resumed`, `not_stuck`, `operation_ended` (nothing was done). */
  resumeOperation: call("resume_operation", {
    role: "allocator",
    request: OperationRequest,
    parameters: ofOperation,
    answer: oneRow(
      operationColumns,
      byOutcome({ resumed: operation, not_stuck: operation, operation_ended: operation, not_found }),
    ),
  }),
  /** Marks it as one that does not go on by itself. It stays pending, to every gate. */
  markStuck: call("mark_stuck", {
    role: "allocator",
    request: StuckRequest,
    parameters: { ...ofOperation, step: "text", error: "text" },
    answer: oneRow(operationColumns, byOutcome({ stuck: operation, operation_ended: ended, not_found })),
  }),
  /** Takes that mark away. */
  clearStuck: call("clear_stuck", {
    role: "allocator",
    request: OperationRequest,
    parameters: ofOperation,
    answer: oneRow(operationColumns, byOutcome({ cleared: operation, operation_ended: ended, not_found })),
  }),
  /** One operation, wherever it is at home, or in that VRF; `null`: none was begun there, which is not final. */
  getOperation: call("get_operation", {
    role: "reader",
    request: OperationIdRequest,
    parameters: { operation_id: "uuid" },
    answer: atMostOneRow(
      operationColumns,
      byOutcome({
        found: gives((row, { vrf }: typeof OperationIdRequest.Type) =>
          vrf === undefined || vrf === row["vrf"] ? toOperation(row) : null,
        ),
      }),
      nothing,
    ),
    everywhere: { kind: "one", has: (rows) => rows.length > 0 },
  }),
  /** The gate: whether any operation on the target has not ended. Without a vrf: on one of that kind and id in any. */
  hasPendingOperation: call("has_pending_operation", {
    role: "allocator",
    request: PendingRequest,
    parameters: { ...ofTarget, except_operation_id: "uuid" },
    answer: oneRow(
      { has_pending_operation: "boolean" },
      byOutcome({ true: gives(() => true), false: gives(() => false) }, "has_pending_operation"),
    ),
    everywhere: { kind: "one", has: ([row]) => row?.["has_pending_operation"] === true },
  }),
  /** The operations on the target that have not ended, the oldest first. Fails rather than being empty where it cannot read. */
  pendingOperations: call("pending_operations", {
    role: "reader",
    request: PendingRequest,
    parameters: { ...ofTarget, except_operation_id: "uuid" },
    answer: anyRows(operationColumns, found),
    everywhere: { kind: "all", by: "begun_at" },
  }),
  /** The one that began last, for display only: an older one may still be pending. */
  latestOperation: call("latest_operation", {
    role: "reader",
    request: TargetInVrfRequest,
    parameters: ofTarget,
    answer: atMostOneRow(operationColumns, found, nothing),
  }),
  /** One page of the history of a target, newest first. */
  listOperations: call("list_operations", {
    role: "reader",
    request: ListOperationsInVrfRequest,
    parameters: { ...ofTarget, ...page },
    answer: anyRows(operationColumns, found),
  }),
  /** One page of all operations, or of one state, newest first. */
  listOperationsByState: call("list_operations_by_state", {
    role: "reader",
    request: ListOperationsByStateRequest,
    parameters: { state: "text", ...page },
    answer: anyRows(operationColumns, found),
    everywhere: { kind: "newest" },
  }),
  /** The VRF of an object, known as a target or as the owner of something held; `null` for one nobody knows. */
  identify: call("identity_vrfs", {
    role: "reader",
    request: IdentityRequest,
    parameters: { kind: "text", id: "text" },
    answer: onlyVrf("identity_vrfs", (vrf, { kind, id }): Target => ({ vrf, kind, id })),
    everywhere: { kind: "all", by: "identity_vrfs" },
  }),
}

type OperationCallsDeclared = typeof operationCalls
/** Their type under a name of its own, since declarations that spell it out lose the comments above. */
export interface OperationCalls extends OperationCallsDeclared {}

/** The VRF of a target that is known by kind and id alone. */
export const targetVrf = partOf<typeof IdentityRequest.Type>()("target_vrfs", {
  role: "reader",
  parameters: { kind: "text", id: "text" },
  answer: onlyVrf("target_vrfs", (vrf) => vrf),
  everywhere: { kind: "all", by: "target_vrfs" },
})
