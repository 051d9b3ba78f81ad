/**
 * The errors of a request key, or of an operation's id, that cannot be used this way. Pure; exported by `errors.ts`.
 */
import * as Schema from "effect/Schema"
import { where } from "./errorText.ts"

const text = Schema.String
const maybeText = Schema.optional(text)

const keyFields = { vrf: text, requestId: text, slot: text }
/** Of a key, or of an operation, which has no slot. */
const requestFields = { vrf: text, requestId: text, slot: maybeText }

/**
 * The key is in use with other arguments, or the operation was begun with others. `differs` names those that differ, of `pool`,
 * `address`, `owner` for a key, of `vrf`, `kind`, `payload`, `targets` for an operation. A new request needs a new request id.
 */
export class KeyReused extends Schema.TaggedError<KeyReused>()("KeyReused", {
  ...requestFields,
  differs: Schema.Array(text),
}) {
  override get message(): string {
    const what = this.differs.length === 0 ? "other arguments" : `another ${this.differs.join(", ")}`
    return `The key was used before with ${what}${where(this)}; a new request needs a new request id`
  }
}

/** The key was released: the call is a late replay and has no effect. */
export class KeyReleased extends Schema.TaggedError<KeyReleased>()("KeyReleased", {
  ...keyFields,
  reason: text,
  releasedAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const when = this.releasedAt === null ? "" : ` at ${this.releasedAt}`
    return `The key was released${when}, reason: ${this.reason}${where(this)}; it can never allocate again`
  }
}

/** The allocation passed its ttl and was reclaimed before it was confirmed. */
export class AllocationExpired extends Schema.TaggedError<AllocationExpired>()("AllocationExpired", {
  ...keyFields,
  releasedAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const when = this.releasedAt === null ? "" : ` at ${this.releasedAt}`
    return `The allocation passed its ttl and was reclaimed${when}${where(this)}; a new request needs a new request id`
  }
}

/** The key is older than the tombstones that are kept, so it is unknown whether it was used. */
export class KeyExpired extends Schema.TaggedError<KeyExpired>()("KeyExpired", requestFields) {
  override get message(): string {
    return `The key is too old to be used${where(this)}; a new request needs a new request id`
  }
}

/**
 * The operation of that id has ended, or is unwinding: a late call can neither allocate for it nor change its outcome. `status` is the
 * state of the operation.
 */
export class OperationEnded extends Schema.TaggedError<OperationEnded>()("OperationEnded", {
  ...requestFields,
  status: maybeText,
}) {
  override get message(): string {
    if (this.status === "unwinding") return `The operation is unwinding${where(this)}; it can no longer succeed`
    const status = this.status === undefined ? "" : ` (${this.status})`
    return `The operation has ended${status}${where(this)}; that is final, and nothing is allocated under it any more`
  }
}
