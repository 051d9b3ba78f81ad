/**
 * Classifies failed statements: which error of the library each becomes, and whether the statement may be sent again at once.
 *
 * Pure. The rules: a statement that certainly wrote nothing may always be sent again; one that may have written something, only if
 * it is idempotent; what another attempt cannot change is reported at once.
 */
import * as Effect from "effect/Effect"
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
import type { CallContext } from "../contract/call.ts"
import { sqlState } from "./connection.ts"
import type { EmbeddedServerFailed } from "../embedded/failure.ts"
import { DeadlinePassed, PoolClosed } from "./connectionPool.ts"

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

/** Classifies an error of the server, the driver or the network. `state` is the SQLSTATE, given if another driver raised the error. */
export const toFailure = (cause: unknown, state = sqlState(cause)): Failure => {
  const code = state ?? networkCode(cause)
  const kind = state === undefined ? kindOfClientError(cause, code) : kindOfSqlState(state, cause)
  return { kind, reason: reasonOf(cause, code, kind), code, cause }
}

/** Whether the same statement may be sent again at once. `repeatable`: the statement is idempotent. */
export const mayRepeat = (failure: Failure, repeatable: boolean): boolean =>
  failure.kind === "conflict" || failure.kind === "not_executed" || (failure.kind === "outcome_unknown" && repeatable)

/** Whether the failed attempt may have been executed all the same. */
export const mayHaveExecuted = ({ kind }: Failure): boolean => kind === "outcome_unknown" || kind === "timeout"

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

/** Fails with the error of the failure, or dies if it is a defect. */
export const failWith = (failure: Failure, context: CallContext): Effect.Effect<never, DatabaseError> => {
  const error = toDomainError(failure, context)
  return error === undefined
    ? Effect.die(new Error(`${context.call}: ${failure.reason}`, { cause: failure.cause }))
    : Effect.fail(error)
}

/** The error of an embedded server that cannot be used. */
export const embeddedServerError = (
  { reason, message }: EmbeddedServerFailed,
  call: string,
): DatabaseUnreachable | DatabaseMisconfigured | DiskFull => {
  const fields = { call, reason: message }
  if (reason === "disk-full") return new DiskFull(fields)
  // A bounded wait ran out: the same call again may succeed.
  if (reason === "not-ready" || reason === "not-stopped") return new DatabaseUnreachable(fields)
  return new DatabaseMisconfigured(fields)
}

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
  // Read-only: the server has become a standby.
  "25006": "not_executed",
  "53100": "disk_full",
  "42501": "not_permitted",
  "3D000": "misconfigured",
  "3F000": "schema_mismatch",
  "42P01": "schema_mismatch",
  "42883": "schema_mismatch",
  "42703": "schema_mismatch",
  "42704": "schema_mismatch",
}

const kindOfSqlState = (state: string, cause: unknown): FailureKind => {
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

/** The codes of a certificate that is not accepted, and of a server that does not know the password. */
const misconfiguredCodes =
  /^(SASL_SIGNATURE_MISMATCH|(ERR_TLS|ERR_SSL|ERR_OSSL|CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)_.*)$/
const bugCodes = new Set(["UNDEFINED_VALUE", "MAX_PARAMETERS_EXCEEDED", "UNSAFE_TRANSACTION"])

const kindOfClientError = (cause: unknown, code: string | undefined): FailureKind => {
  if (cause instanceof DeadlinePassed) return cause.sent ? "timeout" : "unreachable"
  // An unknown host name is most often mistyped, but may also come back with its server: not at once, though.
  if (cause instanceof PoolClosed || code === "ENOTFOUND") return "unreachable"
  if (cause instanceof TypeError || cause instanceof RangeError || bugCodes.has(code ?? "")) return "bug"
  if (misconfiguredCodes.test(code ?? "")) return "misconfigured"
  return failedToConnect(cause, code) ? "not_executed" : "outcome_unknown"
}

/** Without a connection, nothing was sent. A host name with several addresses fails with an AggregateError. */
const failedToConnect = (cause: unknown, code: string | undefined): boolean =>
  code === "CONNECT_TIMEOUT" ||
  (cause instanceof AggregateError && cause.errors.every((one) => failedToConnect(one, undefined))) ||
  (cause instanceof Error && "syscall" in cause && (cause.syscall === "connect" || cause.syscall === "getaddrinfo"))

const networkCode = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const reasonOf = (cause: unknown, code: string | undefined, kind: FailureKind): string => {
  if (code === "CONNECTION_CLOSED" || code === "CONNECTION_DESTROYED") return "the connection was lost"
  if (code === "CONNECT_TIMEOUT") return "no connection could be made in time"
  return kind === "timeout"
    ? `${messageOf(cause)} (if the connection goes through a pooler in transaction mode, such as pgbouncer, set prepare to false)`
    : messageOf(cause)
}

/** The message of an error; an AggregateError of several refused addresses has none of its own. */
const messageOf = (cause: unknown): string => {
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(messageOf).join(", ")
  return cause instanceof Error ? cause.message : String(cause)
}
