/**
 * The errors of an operation that cannot begin or succeed, and of a reconciler that refuses to release. Pure; exported by `errors.ts`.
 */
import * as Schema from "effect/Schema"
import { quoted, where, withoutSecrets } from "./errorText.ts"

const text = Schema.String

/** An address that an operation had allocated and lost without releasing it. */
const Lost = Schema.Struct({
  vrf: text,
  slot: text,
  address: Schema.NullOr(text),
  reason: text,
  releasedAt: text,
  /** Who released it, if that was a person or a reconciler. */
  releasedBy: Schema.optional(text),
})

/**
 * The operation cannot succeed, because `count` of its addresses expired, were orphaned, or were released by a person. Nothing was
 * written; the operation is still pending and can only be unwound. `lost` are the first 20.
 */
export class AllocationsLost extends Schema.TaggedError<AllocationsLost>()("AllocationsLost", {
  vrf: text,
  requestId: text,
  count: Schema.Int,
  lost: Schema.Array(Lost),
}) {
  override get message(): string {
    const lost = this.lost.map((one) => `${one.address} of slot ${quoted(one.slot)} (${one.reason})`).join(", ")
    const more = this.count > this.lost.length ? ` and ${this.count - this.lost.length} more` : ""
    return `The operation has lost ${lost}${more}${where(this)}; it cannot succeed any more, so unwind it`
  }
}

/**
 * The operation requires to be the only one on its targets, and `count` others are pending there. Nothing was written. `pending` are
 * the first 20.
 */
export class TargetBusy extends Schema.TaggedError<TargetBusy>()("TargetBusy", {
  vrf: text,
  requestId: text,
  count: Schema.Int,
  pending: Schema.Array(Schema.Struct({ operationId: text, vrf: text, kind: text, state: text })),
}) {
  override get message(): string {
    const pending = this.pending.map((one) => `${one.kind} ${one.operationId} (${one.state})`).join(", ")
    const more = this.count > this.pending.length ? ` and ${this.count - this.pending.length} more` : ""
    return `Other operations are pending on its targets: ${pending}${more}${where(this)}; begin it when they have ended`
  }
}

/** The source of owners failed, took too long, or did not answer for every owner asked about. Nothing more was released. */
export class OwnersUnreadable extends Schema.TaggedError<OwnersUnreadable>()("OwnersUnreadable", { reason: text }) {
  constructor(props: (typeof OwnersUnreadable)["~type.make.in"], options?: Schema.MakeOptions) {
    super(withoutSecrets(props), options)
  }
  override get message(): string {
    return `The source of owners cannot be relied on: ${this.reason}; nothing more was released`
  }
}

/** More addresses of a pool look orphaned than allowed: most likely the source of owners is wrong. Nothing was marked or released. */
export class TooManyOrphans extends Schema.TaggedError<TooManyOrphans>()("TooManyOrphans", {
  vrf: text,
  pool: text,
  orphans: Schema.BigIntFromString,
  held: Schema.BigIntFromString,
  maxShare: Schema.Number,
}) {
  override get message(): string {
    return `${this.orphans} of ${this.held} addresses of pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} look orphaned, more than the allowed share of ${this.maxShare}; nothing was released`
  }
  /** JSON has no bigint: the counts become decimal strings. */
  override toJSON(): unknown {
    return Schema.encodeSync(TooManyOrphans)(this)
  }
}
