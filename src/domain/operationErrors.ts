/** Why a reconciler released nothing. Pure; part of `errors.ts`. */
import * as Schema from "effect/Schema"
import { quoted, redacted } from "./errorText.ts"

const text = Schema.String

/** The source of owners failed, took too long, or did not answer for every owner that it was asked about. Nothing more was released. */
export class OwnersUnreadable extends Schema.TaggedError<OwnersUnreadable>()("OwnersUnreadable", { reason: text }) {
  constructor(props: (typeof OwnersUnreadable)["~type.make.in"], options?: Schema.MakeOptions) {
    super({ ...props, reason: redacted(props.reason) }, options)
  }
  override get message(): string {
    return `The source of owners cannot be relied on: ${this.reason}; nothing more was released`
  }
}

/** More of a pool looks orphaned than may: more likely the source of owners is wrong. Nothing was marked or released. */
export class TooManyOrphans extends Schema.TaggedError<TooManyOrphans>()("TooManyOrphans", {
  vrf: text,
  pool: text,
  orphans: Schema.BigIntFromString,
  held: Schema.BigIntFromString,
  maxShare: Schema.Number,
}) {
  override get message(): string {
    return `${this.orphans} of ${this.held} addresses of pool ${quoted(this.pool)} in VRF ${quoted(this.vrf)} look orphaned, more than the share of ${this.maxShare} that may be; nothing was released`
  }
  /** JSON has no bigint: the counts become decimal strings. */
  override toJSON(): unknown {
    return Schema.encodeSync(TooManyOrphans)(this)
  }
}
