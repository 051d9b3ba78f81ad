/** What the calls on operations take, with every bound that can be checked before the database is asked. Pure. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { MAX_SECONDS, Name, RequestId, TtlSeconds, Vrf } from "../domain/identity.ts"
import { OperationState } from "./operation.ts"
import { Flag, Rows } from "./requests.ts"

/** The most targets of one operation. */
const MAX_TARGETS = 256

const ofObject = {
  /** e.g. `instance`: 1 to 200 characters. */
  kind: Name,
  /** 1 to 200 characters. */
  id: Name,
} as const

const targets = Schema.Array(
  Schema.Struct({
    /** Left out: the operation's. */
    vrf: Schema.optional(Name),
    ...ofObject,
  }),
).check(
  Schema.makeFilter((all: ReadonlyArray<unknown>) =>
    all.length > 0 && all.length <= MAX_TARGETS ? undefined : `must be 1 to ${MAX_TARGETS}, not ${all.length}`,
  ),
)

/** Any JSON; `null` when left out. It is stored, so nothing secret belongs in it. */
const Json = Schema.Json.pipe(Schema.withDecodingDefault(Effect.succeed(null)))

/**
 * What jsonb cannot store, in the output of `JSON.stringify`: U+0000 or half of a surrogate pair, escaped as a backslash, `u` and four digits.
 * Another backslash before those is the escape of a backslash, and what follows is plain text; so the pattern counts them.
 */
export const unstorable = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i
const Payload = Json.check(
  Schema.makeFilter((value: Schema.Json) =>
    unstorable.test(JSON.stringify(value)) ? "must not contain U+0000 or half of a surrogate pair" : undefined,
  ),
)

const byId = {
  /** A UUID, not the nil one, chosen before the first attempt; the request id of every key of the operation. */
  operationId: RequestId,
} as const

const ofOperation = {
  ...byId,
  /** The home of the operation; `default` when left out. */
  vrf: Vrf,
} as const

/** A beginning. */
export class BeginRequest extends Schema.Opaque<BeginRequest>()(
  Schema.Struct({
    ...ofOperation,
    /** What it does, e.g. `InstanceCreate`: 1 to 200 characters. */
    kind: Name,
    /** What it was asked for; `null` when left out. Stored: nothing secret. */
    payload: Payload,
    /** Everything that it works on: 1 to 256. */
    targets,
    /** What a workflow engine calls it: 1 to 200 characters. */
    executionId: Schema.optional(Name),
    /**
     * Begins only while no other operation is pending on any of the targets, else `TargetBusy`; `false` when left out. Later ones
     * that do not ask for it may still join.
     */
    exclusive: Flag,
    /**
     * For an engine that may die: how many seconds after the last call under it the operation is unwound by reclaim, and all
     * that it holds released; more than 0, at most 3155760000. Allocate, confirm, extend and the calls on the operation begin that
     * time anew. Left out, it may take as long as it likes.
     */
    expiresInSeconds: Schema.optional(TtlSeconds),
  }),
) {}

/** An end: `succeeded` with a result, or `unwound` with the error that led there. */
export class FinishRequest extends Schema.Opaque<FinishRequest>()(
  Schema.Struct({
    ...ofOperation,
    state: Schema.Literals(["succeeded", "unwound"]),
    /** What it came to; `null` when left out. Stored: nothing secret. */
    result: Json,
    /** Why it unwound; `null` when left out. Stored: nothing secret. */
    error: Json,
  }),
) {}

/** One operation, in its home. */
export class OperationRequest extends Schema.Opaque<OperationRequest>()(Schema.Struct(ofOperation)) {}

/** One operation, wherever it is at home, or in one VRF. */
export class OperationIdRequest extends Schema.Opaque<OperationIdRequest>()(
  Schema.Struct({
    ...byId,
    /** Its home. Left out: any. */
    vrf: Schema.optional(Name),
  }),
) {}

/** One operation that shall unwind, begun or not. */
export class CancelRequest extends Schema.Opaque<CancelRequest>()(
  Schema.Struct({
    ...ofOperation,
    /** What it would have done, for the ledger, where it was never begun. */
    kind: Schema.optional(Name),
    /** Why it unwound, where it was never begun; `null` when left out. Stored: nothing secret. */
    error: Json,
  }),
) {}

/** Which step of an operation cannot go on, and its last error. */
export class StuckRequest extends Schema.Opaque<StuckRequest>()(
  Schema.Struct({ ...ofOperation, step: Name, error: Schema.String }),
) {}

/** A target. */
export class TargetRequest extends Schema.Opaque<TargetRequest>()(
  Schema.Struct({
    /** Left out: the target of that kind and id in any VRF. */
    vrf: Schema.optional(Name),
    ...ofObject,
  }),
) {}

/** A target in its VRF. */
export class TargetInVrfRequest extends Schema.Opaque<TargetInVrfRequest>()(
  Schema.Struct({ vrf: Name, ...ofObject }),
) {}

/** A target whose pending operations are asked for. */
export class PendingRequest extends Schema.Opaque<PendingRequest>()(
  Schema.Struct({
    ...TargetRequest.fields,
    /** One that does not count: inside a saga its own, which is pending all the time. */
    exceptOperationId: Schema.optional(RequestId),
  }),
) {}

/** An object by kind and id alone. */
export class IdentityRequest extends Schema.Opaque<IdentityRequest>()(Schema.Struct(ofObject)) {}

const page = {
  /** The sequence of the last of the page before. */
  before: Schema.optional(Schema.BigInt),
  /** At most so many, 1 to 10000; a thousand when left out. */
  pageSize: Rows,
} as const

/** The history of a target, newest first. */
export class ListOperationsRequest extends Schema.Opaque<ListOperationsRequest>()(
  Schema.Struct({ ...TargetRequest.fields, ...page }),
) {}

/** The same, of a target in its VRF. */
export class ListOperationsInVrfRequest extends Schema.Opaque<ListOperationsInVrfRequest>()(
  Schema.Struct({ ...TargetInVrfRequest.fields, ...page }),
) {}

/** Operations newest first. */
export class ListOperationsByStateRequest extends Schema.Opaque<ListOperationsByStateRequest>()(
  Schema.Struct({
    /** Those of one state, or those that are stuck in whatever state; all when left out. */
    state: Schema.optional(Schema.Literals([...OperationState.literals, "stuck"])),
    ...page,
  }),
) {}

const within = (least: number, most: number, fallback: number) =>
  Schema.Number.check(Schema.isBetween({ minimum: least, maximum: most })).pipe(
    Schema.withDecodingDefault(Effect.succeed(fallback)),
  )

/** A run of the reconciler. */
export class ReconcileRequest extends Schema.Opaque<ReconcileRequest>()(
  Schema.Struct({
    /** Left out: all VRFs. */
    vrf: Schema.optional(Name),
    /** What was taken or confirmed in the last so many seconds is left alone: 0 to 3155760000; an hour when left out. */
    graceSeconds: within(0, MAX_SECONDS, 3600),
    /** How many seconds a mark must stand before the release: 0 to 3155760000; ten minutes when left out. */
    settleSeconds: within(0, MAX_SECONDS, 600),
    /** Of what a pool holds, no more than this may look orphaned: 0 to 1; 0.25 when left out. */
    maxShare: within(0, 1, 0.25),
    /** Releases a second, at most: 0.01 to 10000; 50 when left out. */
    perSecond: within(0.01, 10_000, 50),
    /** For one question about owners, in seconds: 0.01 to 3600; 30 when left out. */
    sourceTimeoutSeconds: within(0.01, 3600, 30),
    /** Who says so, for the tombstones: 1 to 200 characters; `reconciler` when left out. */
    by: Name.pipe(Schema.withDecodingDefault(Effect.succeed("reconciler"))),
    /** Changes nothing, and answers what it would do; `false` when left out. */
    dryRun: Flag,
  }),
) {}

const DAY_SECONDS = 86_400

/** What is to be pruned. */
export class PruneRequest extends Schema.Opaque<PruneRequest>()(
  Schema.Struct({
    /** How many seconds ago it must have ended: 86400 (a day) to 3155760000; 90 days when left out. */
    horizonSeconds: Schema.Number.check(
      Schema.makeFilter((value: number) =>
        value >= DAY_SECONDS && value <= MAX_SECONDS ? undefined : `must be ${DAY_SECONDS} to ${MAX_SECONDS} seconds`,
      ),
    ).pipe(Schema.withDecodingDefault(Effect.succeed(90 * DAY_SECONDS))),
  }),
) {}
