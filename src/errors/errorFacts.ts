/**
 * What each error means to its caller, to a saga, to HTTP and to the CLI: one table, of which the compiler demands that it is total,
 * and the JSON form of an error that both HTTP and the CLI print. Pure.
 */
import * as Schema from "effect/Schema"
import { IpamError } from "./errors.ts"

/**
 * What a saga does: `unwind` its steps, `repeat` the same call with the same key, `stop` before it has any effect (the schema does
 * not fit), become `stuck` until an operator acts, or `suspend` (a defect), which leaves it stuck as well.
 */
export type SagaAction = "unwind" | "repeat" | "stop" | "stuck" | "suspend"

/** What one error means. `caller` is a phrase for documents that says what the caller should do. */
export interface ErrorFacts {
  readonly caller: string
  readonly saga: SagaAction
  readonly http: 400 | 404 | 409 | 410 | 422 | 500 | 503 | 507
  /** The exit code of the CLI. */
  readonly exit: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8
}

const facts = (caller: string, saga: SagaAction, http: ErrorFacts["http"], exit: ErrorFacts["exit"]): ErrorFacts => ({
  caller,
  saga,
  http,
  exit,
})

const late = facts("stop: a late replay", "unwind", 410, 5)
const conflict = facts("fix it", "unwind", 409, 5)

/** The facts of every error, by `_tag`. */
export const errorFacts: { readonly [Tag in IpamError["_tag"]]: ErrorFacts } = {
  InvalidInput: facts("fix it", "unwind", 400, 2),
  UnknownPool: facts("fix it", "unwind", 404, 3),
  UnknownVrf: facts("fix it", "unwind", 404, 3),
  NotFound: facts("fix it", "unwind", 404, 3),
  PoolExhausted: facts("other pool, or later", "unwind", 409, 4),
  KeyReused: facts("fix it", "unwind", 422, 5),
  KeyReleased: late,
  AllocationExpired: late,
  KeyExpired: late,
  OperationEnded: late,
  AllocationsLost: facts("stop: unwind", "unwind", 409, 5),
  TargetBusy: facts("fix it, or later", "unwind", 409, 5),
  AddressTaken: conflict,
  AddressCooling: conflict,
  AddressReserved: conflict,
  AddressDraining: conflict,
  AddressOutside: conflict,
  RangeInUse: conflict,
  RangeOverlaps: conflict,
  PoolExists: conflict,
  PoolInUse: conflict,
  AmbiguousIdentity: facts("say which", "unwind", 409, 5),
  Contended: facts("same call again", "repeat", 503, 6),
  DatabaseUnavailable: facts("same call, same key", "repeat", 503, 6),
  DatabaseUnreachable: facts("same call again", "repeat", 503, 6),
  DiskFull: facts("free space, then the same call again", "repeat", 507, 8),
  NotPermitted: facts("grant the role that it names", "stuck", 500, 8),
  DatabaseMisconfigured: facts("fix the settings", "stuck", 500, 8),
  SchemaTooOld: facts("migrate", "stop", 503, 6),
  SchemaTooNew: facts("upgrade", "stop", 503, 6),
  Drifted: facts("run the doctor", "stuck", 500, 7),
  OwnersUnreadable: facts("repair the source of owners, then again", "unwind", 503, 6),
  TooManyOrphans: facts("check the source of owners; allow a greater share if it is right", "unwind", 409, 7),
}

/** The facts of a defect: anything that is not an `IpamError` is a bug of this library. */
export const defectFacts: ErrorFacts = facts("report", "suspend", 500, 1)

/** The exit code of the CLI after Ctrl-C. */
export const interruptedExit = 130

/** Whether `value` is an `IpamError`, by its tag and fields, so that errors of another copy of this library count too. */
export const isIpamError: (value: unknown) => value is IpamError = Schema.is(IpamError)

/** The facts of any thrown value; those of a defect if it is not an `IpamError`. */
export const factsOf = (error: unknown): ErrorFacts => (isIpamError(error) ? errorFacts[error._tag] : defectFacts)

/** Whether the same call with the same key should be repeated after this failure. */
export const isRepeatable = (error: unknown): boolean => factsOf(error).saga === "repeat"

const encode = Schema.encodeSync(IpamError)

/**
 * The JSON form of an error: `{ "error": "PoolExhausted", "message": "...", "vrf": "default", ... }`. Counts are decimal strings,
 * absent fields are left out, and it contains no password and no URL.
 */
export const errorToJson = (
  error: IpamError,
): { readonly error: IpamError["_tag"]; readonly message: string; readonly [field: string]: unknown } => {
  const { _tag, ...fields } = encode(error)
  const known = Object.entries(fields).filter(([, value]) => value !== undefined)
  return { error: _tag, message: error.message, ...Object.fromEntries(known) }
}
