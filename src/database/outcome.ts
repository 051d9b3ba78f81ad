/**
 * What a failed statement means: which domain error it becomes, and whether the same call may be made again at once.
 *
 * Pure. The rule: what surely wrote nothing may always be repeated; what may have been written only when the call carries its
 * key; what another attempt cannot change is reported as it is.
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
import { sqlState } from "./connection.ts"
import type { EmbeddedServerFailed } from "../embedded/failure.ts"
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
 * transaction. `unsent`: surely without effect, and it may pass. `away`: the same, but not by trying at once again. `lost`: nobody
 * knows, and it may pass. `late`: the deadline passed. `full`: the disk is full. `forbidden`: the role may not. `settings`: no try can
 * succeed until somebody corrects the settings. `drifted`: the tables contradict each other. `schema`: the function or a table is
 * not there. `bug`: none of these.
 */
export type FailureKind =
  | "invalid"
  | "waited"
  | "raced"
  | "unsent"
  | "away"
  | "lost"
  | "late"
  | "full"
  | "forbidden"
  | "settings"
  | "drifted"
  | "schema"
  | "bug"

/** A failed attempt. `reason` is a phrase for the operator, without secrets. */
export interface Failure {
  readonly kind: FailureKind
  readonly reason: string
  readonly code: string | undefined
  readonly cause: unknown
  /** An earlier attempt of the same call may have been carried out. */
  readonly maybeDone?: true
  /** Of `forbidden`: the role of saga-ipam that may make the call, where it is for lack of one that it was refused. */
  readonly role?: string | undefined
}

/** What a call may fail with, whatever it asks. */
export type DatabaseError =
  | InvalidInput
  | Contended
  | DatabaseUnavailable
  | DatabaseUnreachable
  | DiskFull
  | NotPermitted
  | DatabaseMisconfigured
  | Drifted

/** Reads an error of the server, the driver or the network. `state`: the SQLSTATE, where another driver than ours met with it. */
export const toFailure = (cause: unknown, state = sqlState(cause)): Failure => {
  const code = state ?? networkCode(cause)
  const kind = state === undefined ? ofNetwork(cause, code) : ofState(state, cause)
  return { kind, reason: reasonOf(cause, code, kind), code, cause }
}

/** Whether the same statement may be sent again. `repeatable` says that it carries its key, or writes nothing. */
export const mayRepeat = (failure: Failure, repeatable: boolean): boolean =>
  failure.kind === "raced" || failure.kind === "unsent" || (failure.kind === "lost" && repeatable)

/** Whether the attempt may have been carried out. */
export const isOpen = ({ kind }: Failure): boolean => kind === "lost" || kind === "late"

/** The domain error of a failure that is not repeated any more; undefined for `schema` and `bug`, which are none of the caller's. */
export const toDomainError = (failure: Failure, context: CallContext): DatabaseError | undefined => {
  const error = byKind(failure, context)
  // What came last wrote nothing; what came before may have.
  return failure.maybeDone === true && error !== undefined && error._tag !== "InvalidInput"
    ? new DatabaseUnavailable({ ...context, reason: failure.reason, code: failure.code })
    : error
}

const byKind = (failure: Failure, context: CallContext): DatabaseError | undefined => {
  const { kind, reason, code } = failure
  const fields = { ...context, reason, code }
  switch (kind) {
    case "invalid":
      return new InvalidInput({ field: fieldOf(reason), message: reason })
    case "waited":
    case "raced":
      return new Contended(context)
    case "unsent":
    case "away":
      return new DatabaseUnreachable(fields)
    case "lost":
    case "late":
      return new DatabaseUnavailable(fields)
    case "full":
      return new DiskFull(fields)
    case "forbidden":
      return new NotPermitted({ ...fields, role: failure.role })
    case "settings":
      return new DatabaseMisconfigured(fields)
    case "drifted":
      return new Drifted({ findings: [contradiction(reason, context)], slot: context.slot })
    case "schema":
    case "bug":
      return undefined
  }
}

/** A call that met what cannot be, as a finding of the doctor. */
const contradiction = (detail: string, { vrf, pool }: CallContext) => ({
  check: "stored data",
  vrf: vrf ?? null,
  pool: pool ?? null,
  detail,
  repair: null,
})

/** Fails with the domain error, or dies of what is none of the caller's. */
export const failWith = (failure: Failure, context: CallContext): Effect.Effect<never, DatabaseError> => {
  const error = toDomainError(failure, context)
  return error === undefined
    ? Effect.die(new Error(`${context.call}: ${failure.reason}`, { cause: failure.cause }))
    : Effect.fail(error)
}

/** The domain error of an embedded server that cannot be used. */
export const ofEmbedded = (
  { reason, message }: EmbeddedServerFailed,
  call: string,
): DatabaseUnreachable | DatabaseMisconfigured | DiskFull => {
  const fields = { call, reason: message }
  if (reason === "disk-full") return new DiskFull(fields)
  // Bounded waits: the same call may be made again.
  if (reason === "not-ready" || reason === "not-stopped") return new DatabaseUnreachable(fields)
  return new DatabaseMisconfigured(fields)
}

/** The database writes `ttl_seconds: must be above 0`; callers know the field as `ttlSeconds`. */
const fieldOf = (reason: string): string =>
  /^([a-z_]+): /.exec(reason)?.[1]?.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) ?? ""

/** An SQLSTATE that functions of `sql/` raise. `becomes` is what a caller gets; left out, the call itself catches it. */
interface RaisedState {
  readonly condition: string
  readonly means: string
  readonly becomes?: FailureKind
  /** The functions that raise it, where those are few. */
  readonly by?: ReadonlyArray<string>
}

/**
 * The SQLSTATEs that the functions of `sql/` raise themselves; all others are the server's. A state of our own, `IP...`, undoes a
 * subtransaction and never leaves the call. Held by a test of the catalog: the functions raise these and no others.
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
    becomes: "waited",
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
    means: "a lock was waited for only to see its transaction end: allocate_many gives it back",
    by: ["allocate_many"],
  },
  IP004: {
    condition: "IP004",
    means: "what is held or outside stands against a change of ranges or reservations: the call answers its refusal",
    by: ["create_pool", "delete_pool", "import_reservations", "remove_range", "settle_covers"],
  },
}

/** The SQLSTATEs of the server that mean the same wherever they come from. */
const serverStates: Readonly<Record<string, FailureKind>> = {
  "40001": "raced",
  "40P01": "raced",
  // Cancelled by somebody else, or by the server's own limit: rolled back.
  "57014": "unsent",
  // Starting up or shutting down, too many connections: the statement was never begun.
  "57P03": "unsent",
  "53300": "unsent",
  // A server that was demoted to a standby.
  "25006": "unsent",
  "53100": "full",
  "42501": "forbidden",
  "3D000": "settings",
  "3F000": "schema",
  "42P01": "schema",
  "42883": "schema",
  "42703": "schema",
  "42704": "schema",
}

const ofState = (state: string, cause: unknown): FailureKind => {
  const known = raisedStates[state]?.becomes ?? serverStates[state]
  if (known !== undefined) return known
  switch (state.slice(0, 2)) {
    case "22":
      return "invalid"
    case "53":
    case "57":
    case "58":
      return isRolledBack(cause) ? "unsent" : "lost"
    case "08":
      return "lost"
    case "28":
      return "settings"
  }
  return "bug"
}

/** An ERROR ends a statement that is a transaction of its own without effect; FATAL and PANIC may come after its commit. */
const isRolledBack = (cause: unknown): boolean =>
  cause instanceof Error && "severity" in cause && cause.severity === "ERROR"

/** The certificate is not the one expected, or the server does not know the password. */
const settingsCodes = /^(SASL_SIGNATURE_MISMATCH|(ERR_TLS|ERR_SSL|ERR_OSSL|CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO)_.*)$/
const bugCodes = new Set(["UNDEFINED_VALUE", "MAX_PARAMETERS_EXCEEDED", "UNSAFE_TRANSACTION"])

const ofNetwork = (cause: unknown, code: string | undefined): FailureKind => {
  if (cause instanceof DeadlinePassed) return cause.sent ? "late" : "away"
  // A name that nobody knows is most often mistyped, but may come back with its server: no driver's try changes it.
  if (cause instanceof PoolClosed || code === "ENOTFOUND") return "away"
  if (cause instanceof TypeError || cause instanceof RangeError || bugCodes.has(code ?? "")) return "bug"
  if (settingsCodes.test(code ?? "")) return "settings"
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
  return kind === "late"
    ? `${messageOf(cause)} (behind a pooler in transaction mode, such as pgbouncer, set prepare to false)`
    : messageOf(cause)
}

/** An AggregateError of several refused addresses has no message of its own. */
const messageOf = (cause: unknown): string => {
  if (cause instanceof AggregateError && cause.message === "") return cause.errors.map(messageOf).join(", ")
  return cause instanceof Error ? cause.message : String(cause)
}
