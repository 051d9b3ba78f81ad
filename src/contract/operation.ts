/**
 * An operation as the ledger keeps it: which saga works on what, how far it is, and how it ended. Pure.
 *
 * Encoded is JSON: sequence numbers are decimal strings, times ISO 8601 in UTC.
 */
import * as Schema from "effect/Schema"
import { Name } from "../domain/identity.ts"
import { Time } from "../domain/time.ts"

/** What an operation works on. The whole is the identity: two VRFs may both have an instance 7. */
export class Target extends Schema.Opaque<Target>()(Schema.Struct({ vrf: Name, kind: Name, id: Name })) {}

/** `pending` and `unwinding` are not ended, whether stuck or not; `unwound` and `succeeded` are, for ever. */
export const OperationState = Schema.Literals(["pending", "unwinding", "unwound", "succeeded"])
export type OperationState = typeof OperationState.Type

/** How the call went that answered an operation; `found` where it was only read. */
export const OperationOutcome = Schema.Literals([
  "begun",
  "replayed",
  "unwinding",
  "finished",
  "cancelled",
  "resumed",
  "not_stuck",
  "stuck",
  "cleared",
  "operation_ended",
  "found",
])
export type OperationOutcome = typeof OperationOutcome.Type

/**
 * One execution of a saga. `operationId` is the request id of every key that it allocates; `sequence` the order of beginnings.
 * `result` came with `succeeded` and `error` with `unwound`, in one write. `stuck`: which step cannot go on, since when, and its
 * last error; it still is pending. `expiresAt`: when reclaim unwinds it unless a call under it comes first. `cancelledAt`: when a
 * cancel decided that it unwinds; `resumedAt`: when it was last told to go on. `prunedAt`: since then only that it ended is known.
 */
export class Operation extends Schema.Opaque<Operation>()(
  Schema.Struct({
    outcome: OperationOutcome,
    operationId: Schema.String,
    vrf: Schema.String,
    kind: Schema.String,
    sequence: Schema.BigIntFromString,
    state: OperationState,
    payload: Schema.Unknown,
    targets: Schema.Array(Target),
    executionId: Schema.NullOr(Schema.String),
    stuck: Schema.NullOr(Schema.Struct({ since: Time, step: Schema.String, error: Schema.String })),
    result: Schema.Unknown,
    error: Schema.Unknown,
    begunAt: Time,
    unwindingAt: Schema.NullOr(Time),
    finishedAt: Schema.NullOr(Time),
    expiresAt: Schema.NullOr(Time),
    cancelledAt: Schema.NullOr(Time),
    resumedAt: Schema.NullOr(Time),
    prunedAt: Schema.NullOr(Time),
  }),
) {}
