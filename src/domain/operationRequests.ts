/** What the calls on operations take, with every bound that can be checked before the database is asked. Pure. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { MAX_SECONDS, Name, RequestId, Vrf } from "./identity.ts"
import { OperationState } from "./operation.ts"
import { Flag, Rows } from "./requests.ts"

/** The most targets of one operation. */
const MAX_TARGETS = 256

const targets = Schema.Array(Schema.Struct({ vrf: Schema.optional(Name), kind: Name, id: Name })).check(
  Schema.makeFilter((all: ReadonlyArray<unknown>) =>
    all.length > 0 && all.length <= MAX_TARGETS ? undefined : `must be 1 to ${MAX_TARGETS}, not ${all.length}`,
  ),
)

/** Whatever JSON can say; `null` when left out. Stored: nothing secret belongs into it. */
const Json = Schema.Json.pipe(Schema.withDecodingDefault(Effect.succeed(null)))

/**
 * A beginning. `operationId`: chosen before the first try. `targets`: everything that it works on, each of the vrf of the
 * operation unless it names another. `executionId`: what a workflow engine calls it.
 */
export const BeginRequest = Schema.Struct({
  operationId: RequestId,
  vrf: Vrf,
  kind: Name,
  payload: Json,
  targets,
  executionId: Schema.optional(Name),
})

/** An end: `succeeded` with a result, or `unwound` with the error that led there. */
export const FinishRequest = Schema.Struct({
  operationId: RequestId,
  state: Schema.Literals(["succeeded", "unwound"]),
  result: Json,
  error: Json,
})

/** One operation. */
export const OperationRequest = Schema.Struct({ operationId: RequestId })

/** Which step of an operation cannot go on, and its last error. */
export const StuckRequest = Schema.Struct({ operationId: RequestId, step: Name, error: Schema.String })

/** A target; without a vrf, one of that kind and id in any. */
export const TargetRequest = Schema.Struct({ vrf: Schema.optional(Name), kind: Name, id: Name })

/** An object by kind and id alone. */
export const IdentityRequest = Schema.Struct({ kind: Name, id: Name })

const page = { before: Schema.optional(Schema.BigInt), pageSize: Rows }

/** The history of a target, newest first. `before` is the sequence of the last of the page before. */
export const HistoryRequest = Schema.Struct({ ...TargetRequest.fields, ...page })

/** Operations newest first: all, those of one state, or those that are stuck. */
export const OperationsRequest = Schema.Struct({
  state: Schema.optional(Schema.Literals([...OperationState.literals, "stuck"])),
  ...page,
})

const within = (least: number, most: number, fallback: number) =>
  Schema.Number.check(Schema.isBetween({ minimum: least, maximum: most })).pipe(
    Schema.withDecodingDefault(Effect.succeed(fallback)),
  )

/**
 * A run of the reconciler. `graceSeconds`: what was taken or confirmed since then is left alone (default an hour).
 * `settleSeconds`: how long a mark must stand before the release (default ten minutes). `maxShare`: of what a pool holds, more
 * than this may not look orphaned (0 to 1, default 0.25). `perSecond`: releases, at most (default 50). `sourceTimeoutSeconds`: for
 * one question about owners (default 30). `by`: who says so, for the tombstones. `dryRun`: nothing is changed. All VRFs without `vrf`.
 */
export const ReconcileRequest = Schema.Struct({
  vrf: Schema.optional(Name),
  graceSeconds: within(0, MAX_SECONDS, 3600),
  settleSeconds: within(0, MAX_SECONDS, 600),
  maxShare: within(0, 1, 0.25),
  perSecond: within(0.01, 10_000, 50),
  sourceTimeoutSeconds: within(0.01, 3600, 30),
  by: Name.pipe(Schema.withDecodingDefault(Effect.succeed("reconciler"))),
  dryRun: Flag,
})

const DAY_SECONDS = 86_400

/** How old what ended must be to be pruned, in seconds: at least a day, 90 days when left out. */
export const PruneRequest = Schema.Struct({
  horizonSeconds: Schema.Number.check(
    Schema.makeFilter((value: number) =>
      value >= DAY_SECONDS && value <= MAX_SECONDS ? undefined : `must be ${DAY_SECONDS} to ${MAX_SECONDS} seconds`,
    ),
  ).pipe(Schema.withDecodingDefault(Effect.succeed(90 * DAY_SECONDS))),
})
