/** What the calls on operations take, with every bound that can be checked before the database is asked. Pure. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { MAX_SECONDS, Name, RequestId, Vrf } from "./identity.ts"
import { OperationState } from "./operation.ts"
import { Rows } from "./requests.ts"

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

const page = { before: Schema.optional(Schema.BigInt), pageSize: Rows }

/** The history of a target, newest first. `before` is the sequence of the last of the page before. */
export const HistoryRequest = Schema.Struct({ ...TargetRequest.fields, ...page })

/** Operations newest first: all, those of one state, or those that are stuck. */
export const OperationsRequest = Schema.Struct({
  state: Schema.optional(Schema.Literals([...OperationState.literals, "stuck"])),
  ...page,
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
