/**
 * Classifies failed statements: which error of the library each becomes, and whether the statement may be sent again at once.
 *
 * Pure. The rules: a statement that certainly wrote nothing may always be sent again; one that may have written something, only if
 * it is idempotent; what another attempt cannot change is reported at once.
 */
import * as Effect from "effect/Effect"
import type { CallContext } from "../contract/call.ts"
import {
  kindOfSqlState,
  toDomainError,
  type DatabaseError,
  type Failure,
  type FailureKind,
} from "../contract/sqlState.ts"
import { DatabaseMisconfigured, DatabaseUnreachable, DiskFull } from "../errors/errors.ts"
import { sqlState } from "./connection.ts"
import type { EmbeddedServerFailed } from "../embedded/failure.ts"
import { DeadlinePassed, PoolClosed } from "./connectionPool.ts"

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
