/**
 * What the SQLSTATE of a failed statement means, whichever client sent it: which error of the library it becomes. Pure: knows neither a
 * driver nor the network.
 */
import {
  Contended,
  DatabaseMisconfigured,
  DatabaseUnavailable,
  DatabaseUnreachable,
  DiskFull,
  Drifted,
  InvalidInput,
  NotPermitted,
} from "../errors/errors.ts"
import type { CallContext } from "./call.ts"

export type FailureKind =
  /** The function refused its arguments. */
  | "invalid"
  /** A bounded wait for a lock ran out. */
  | "lock_timeout"
  /** Rolled back because of another transaction: a serialization failure or a deadlock. */
  | "conflict"
  /** Certainly not executed; the next attempt may succeed. */
  | "not_executed"
  /** Certainly not executed, and another attempt at once would fail as well. */
  | "unreachable"
  /** Possibly executed; the next attempt may succeed. */
  | "outcome_unknown"
  /** Possibly executed; the deadline of the call has passed. */
  | "timeout"
  | "disk_full"
  /** The role may not make the call. */
  | "not_permitted"
  /** No attempt can succeed until somebody corrects the settings. */
  | "misconfigured"
  /** The tables contradict each other. */
  | "drifted"
  /** The function or a table does not exist. */
  | "schema_mismatch"
  /** Anything else: a defect of this library. */
  | "bug"

/** A failed attempt. `reason` is a phrase for the operator, without secrets; `code` an SQLSTATE or an error code of Node. */
export interface Failure {
  readonly kind: FailureKind
  readonly reason: string
  readonly code: string | undefined
  readonly cause: unknown
  /** Set if an earlier attempt of the same call may have been executed. */
  readonly earlierMayHaveExecuted?: true
  /** For `not_permitted`: the saga-ipam role that may make the call, if a missing role is why it was refused. */
  readonly role?: string | undefined
}

/** The errors that any call may fail with. */
export type DatabaseError =
  | InvalidInput
  | Contended
  | DatabaseUnavailable
  | DatabaseUnreachable
  | DiskFull
  | NotPermitted
  | DatabaseMisconfigured
  | Drifted

/** The error of a failure that is not retried any more; `undefined` for `schema_mismatch` and `bug`, which are defects. */
export const toDomainError = (failure: Failure, context: CallContext): DatabaseError | undefined => {
  const error = errorByKind(failure, context)
  // The last attempt wrote nothing, but an earlier one may have.

  return failure.earlierMayHaveExecuted === true && error !== undefined && error._tag !== "InvalidInput"
    ? new DatabaseUnavailable({ ...context, reason: failure.reason, code: failure.code })
    : error
}

const errorByKind = (failure: Failure, context: CallContext): DatabaseError | undefined => {
  const { kind, reason, code } = failure
  const fields = { ...context, reason, code }
  switch (kind) {
    case "invalid":
      return new InvalidInput({ field: fieldOf(reason), message: reason })
    case "lock_timeout":
    case "conflict":
      return new Contended(context)
    case "not_executed":
    case "unreachable":
      return new DatabaseUnreachable(fields)
    case "outcome_unknown":
    case "timeout":
      return new DatabaseUnavailable(fields)
    case "disk_full":
      return new DiskFull(fields)
    case "not_permitted":
      return new NotPermitted({ ...fields, role: failure.role })
    case "misconfigured":
      return new DatabaseMisconfigured(fields)
    case "drifted":
      return new Drifted({ findings: [contradiction(reason, context)], slot: context.slot })
    case "schema_mismatch":
    case "bug":
      return undefined
  }
}

/** A contradiction that a call ran into, in the form of a finding of the doctor. */
const contradiction = (detail: string, { vrf, pool }: CallContext) => ({
  check: "stored data",
  vrf: vrf ?? null,
  pool: pool ?? null,
  detail,
  repair: null,
})

/** The field that a message of the database names: `ttlSeconds` for `ttl_seconds: must be above 0`. */
const fieldOf = (reason: string): string =>
  /^([a-z_]+): /.exec(reason)?.[1]?.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) ?? ""

/** An SQLSTATE that functions of `sql/` raise. */
interface RaisedState {
  readonly condition: string
  readonly means: string
  /** What it becomes; left out if the SQL call itself catches it. */
  readonly becomes?: FailureKind
  /** The functions that raise it, if they are few. */
  readonly by?: ReadonlyArray<string>
}

/**
 * The SQLSTATEs that the functions of `sql/` raise; all others come from the server. A state of our own, `IP...`, rolls back a
 * subtransaction and never leaves the call. A test of the catalog holds that the functions raise these and no others.
 */
export const raisedStates: Readonly<Record<string, RaisedState>> = {
  "22023": {
    condition: "invalid_parameter_value",
    means:
      "an argument that the call does not accept; its message begins with the argument's name, nothing was written",
    becomes: "invalid",
  },
  "25006": {
    condition: "read_only_sql_transaction",
    means: "the server is a standby, or has become one; nothing was written",
    becomes: "not_executed",
  },
  "55P03": {
    condition: "lock_not_available",
    means: "a bounded wait for other transactions ran out; nothing was written",
    becomes: "lock_timeout",
    by: ["allocate_many", "repair_extents", "settle_covers"],
  },
  XX001: {
    condition: "data_corrupted",
    means: "the tables contradict each other; nothing was written",
    becomes: "drifted",
    by: ["finish_operation", "finish_saga"],
  },
  IP001: {
    condition: "IP001",
    means:
      "short of an extent, or of a key that is in flight in another transaction: allocate_many makes another attempt",
    by: ["take_slots"],
  },
  IP002: {
    condition: "IP002",
    means: "a free unit has a live holder: allocate_many answers `drifted`",
    by: ["take_slots"],
  },
  IP003: {
    condition: "IP003",
    means: "a lock was acquired only to wait for the end of its transaction: allocate_many releases it again",
    by: ["allocate_many"],
  },
  IP004: {
    condition: "IP004",
    means: "something held or outside prevents a change of ranges or reservations: the call answers with a refusal",
    by: ["create_pool", "delete_pool", "import_reservations", "remove_range", "settle_covers"],
  },
}

/** SQLSTATEs of the server that mean the same in every statement. */
const serverStates: Readonly<Record<string, FailureKind>> = {
  "40001": "conflict",
  "40P01": "conflict",
  // Cancelled by somebody else, or by the server's statement timeout: rolled back.
  "57014": "not_executed",
  // Starting up, shutting down, or too many connections: the statement never began.
  "57P03": "not_executed",
  "53300": "not_executed",
  "53100": "disk_full",
  "42501": "not_permitted",
  "3D000": "misconfigured",
  // A migration that waits until somebody has ended what the old schema still executes.
  "55006": "misconfigured",
  "3F000": "schema_mismatch",
  "42P01": "schema_mismatch",
  "42883": "schema_mismatch",
  "42703": "schema_mismatch",
  "42704": "schema_mismatch",
}

export const kindOfSqlState = (state: string, cause: unknown): FailureKind => {
  const known = raisedStates[state]?.becomes ?? serverStates[state]
  if (known !== undefined) return known
  switch (state.slice(0, 2)) {
    case "22":
      return "invalid"
    case "53":
    case "57":
    case "58":
      return isRolledBack(cause) ? "not_executed" : "outcome_unknown"
    case "08":
      return "outcome_unknown"
    case "28":
      return "misconfigured"
  }
  return "bug"
}

/** An ERROR rolls back the statement, which is a transaction of its own; FATAL and PANIC may come after its commit. */
const isRolledBack = (cause: unknown): boolean =>
  cause instanceof Error && "severity" in cause && cause.severity === "ERROR"
