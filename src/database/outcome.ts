/**
 * What a failed statement means: which domain error it becomes, and whether the same call may be made again at once.
 *
 * Pure. The rule: what surely wrote nothing may always be repeated; what may have been written only when the call carries its
 * key; what another try cannot mend is reported as it is.
 */
import * as Effect from "effect/Effect"
import { Contended, DatabaseUnavailable, InvalidInput } from "../domain/errors.ts"
import { sqlState } from "./connection.ts"
import { DeadlinePassed, PoolClosed } from "./pool.ts"

/** What a call was about, for its errors. `call` is the SQL function's name, e.g. `allocate`. */
export interface CallContext {
  readonly call: string
  readonly vrf?: string | undefined
  readonly pool?: string | undefined
  readonly requestId?: string | undefined
  readonly slot?: string | undefined
}

/**
 * `invalid`: the function refused its arguments. `waited`: its bounded wait ran out. `raced`: rolled back because of another
 * transaction. `unsent`: surely without effect, and it may pass. `lost`: nobody knows, and it may pass. `refused`: no try can
 * succeed until somebody mends the settings. `late`: the deadline passed. `schema`: the function or a table is not there.
 * `bug`: none of these.
 */
export type FailureKind = "invalid" | "waited" | "raced" | "unsent" | "lost" | "refused" | "late" | "schema" | "bug"

/** A failed try. `reason` is a phrase for the operator, without secrets. */
export interface Failure {
  readonly kind: FailureKind
  readonly reason: string
  readonly code: string | undefined
  readonly cause: unknown
  /** An earlier try of the same call may have been carried out. */
  readonly repeated?: true
}

/** Reads an error of the server, the driver or the network. `state`: the SQLSTATE, where another driver than ours met with it. */
export const toFailure = (cause: unknown, state = sqlState(cause)): Failure => {
  const code = state ?? networkCode(cause)
  const kind = state === undefined ? ofNetwork(cause, code) : ofState(state)
  return { kind, reason: reasonOf(cause, code, kind), code, cause }
}

/** Whether the same statement may be sent again. `repeatable` says that it carries its key, or writes nothing. */
export const mayRepeat = (failure: Failure, repeatable: boolean): boolean =>
  failure.kind === "raced" || failure.kind === "unsent" || (failure.kind === "lost" && repeatable)

/** The domain error of a failure that is not repeated any more; undefined for `schema` and `bug`, which are none of the caller's. */
export const toDomainError = (
  failure: Failure,
  context: CallContext,
): InvalidInput | Contended | DatabaseUnavailable | undefined => {
  switch (failure.kind) {
    case "invalid":
      return new InvalidInput({ field: fieldOf(failure.reason), message: failure.reason })
    case "waited":
    case "raced":
      return new Contended(context)
    case "unsent":
    case "lost":
    case "refused":
    case "late":
      return new DatabaseUnavailable({
        ...context,
        reason: withHint(failure, context),
        code: failure.code,
        outcomeUnknown: failure.kind !== "refused" || failure.repeated === true,
      })
    case "schema":
    case "bug":
      return undefined
  }
}

/** Fails with the domain error, or dies of what is none of the caller's. */
export const failWith = (
  failure: Failure,
  context: CallContext,
): Effect.Effect<never, InvalidInput | Contended | DatabaseUnavailable> => {
  const error = toDomainError(failure, context)
  return error === undefined
    ? Effect.die(new Error(`${context.call}: ${failure.reason}`, { cause: failure.cause }))
    : Effect.fail(error)
}

/** The database writes `ttl_seconds: must be above 0`; callers know the field as `ttlSeconds`. */
const fieldOf = (reason: string): string =>
  /^([a-z_]+): /.exec(reason)?.[1]?.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) ?? ""

const withHint = ({ code, reason }: Failure, { call }: CallContext): string => {
  if (code !== "42501") return reason
  return call === "migrate"
    ? `${reason}; migrating needs the owner of the database, and changed nothing`
    : `${reason}; grant ipam_allocator, ipam_operator or ipam_reader to the role`
}

const ofState = (state: string): FailureKind => {
  switch (state) {
    case "55P03":
      return "waited"
    case "40001":
    case "40P01":
      return "raced"
    // Cancelled by somebody else, or by the server's own limit: rolled back.
    case "57014":
    // Starting up or shutting down, too many connections: the statement was never begun.
    case "57P03":
    case "53300":
    // A server that was demoted to a standby.
    case "25006":
      return "unsent"
    case "42501":
    case "3D000":
      return "refused"
    case "3F000":
    case "42P01":
    case "42883":
    case "42703":
    case "42704":
      return "schema"
  }
  switch (state.slice(0, 2)) {
    case "22":
      return "invalid"
    case "08":
    case "53":
    case "57":
    case "58":
      return "lost"
    case "28":
      return "refused"
  }
  return "bug"
}

/** No server has the name, or its certificate is not the one expected. */
const refusedCodes =
  /^(ENOTFOUND|SASL_SIGNATURE_MISMATCH|(ERR_TLS|ERR_SSL|ERR_OSSL|CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)_.*)$/
const bugCodes = new Set(["UNDEFINED_VALUE", "MAX_PARAMETERS_EXCEEDED", "UNSAFE_TRANSACTION"])

const ofNetwork = (cause: unknown, code: string | undefined): FailureKind => {
  if (cause instanceof DeadlinePassed) return "late"
  if (cause instanceof PoolClosed) return "refused"
  if (cause instanceof TypeError || cause instanceof RangeError || bugCodes.has(code ?? "")) return "bug"
  if (refusedCodes.test(code ?? "")) return "refused"
  return whileConnecting(cause, code) ? "unsent" : "lost"
}

/** Before a connection stands, nothing is sent. Several addresses of one name fail as one AggregateError. */
const whileConnecting = (cause: unknown, code: string | undefined): boolean =>
  code === "CONNECT_TIMEOUT" ||
  (cause instanceof AggregateError && cause.errors.every((one) => whileConnecting(one, undefined))) ||
  (cause instanceof Error && "syscall" in cause && (cause.syscall === "connect" || cause.syscall === "getaddrinfo"))

const networkCode = (cause: unknown): string | undefined =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined

const reasonOf = (cause: unknown, code: string | undefined, kind: FailureKind): string => {
  if (code === "CONNECTION_CLOSED" || code === "CONNECTION_DESTROYED") return "the connection was lost"
  if (code === "CONNECT_TIMEOUT") return "no connection was made in time"
  if (kind === "late") {
    return cause instanceof DeadlinePassed && cause.sent
      ? `${cause.message} (behind a pooler in transaction mode, such as pgbouncer, set prepare to false)`
      : messageOf(cause)
  }
  return messageOf(cause)
}

/** An AggregateError of several refused addresses has no message of its own. */
const messageOf = (cause: unknown): string => {
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(messageOf).join(", ")
  return cause instanceof Error ? cause.message : String(cause)
}
