/**
 * Why a request key cannot be used as it was. Pure; part of `errors.ts`.
 */
import * as Schema from "effect/Schema"
import { where } from "./errorText.ts"

const text = Schema.String
const maybeText = Schema.optional(text)

const keyFields = { vrf: text, requestId: text, slot: text }
/** Of a key, or of an operation, which has no slot. */
const requestFields = { vrf: text, requestId: text, slot: maybeText }

/**
 * The key is held, for other arguments: `differs` names them (`pool`, `address`, `owner`; a ttl is none); or the operation was begun
 * with others (`vrf`, `kind`, `payload`, `targets`). Use a new request id for a new request.
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

/** The key was released: this is a late replay and must not have an effect. */
export class KeyReleased extends Schema.TaggedError<KeyReleased>()("KeyReleased", {
  ...keyFields,
  reason: text,
  releasedAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const when = this.releasedAt === null ? "" : ` at ${this.releasedAt}`
    return `The key was released${when}, reason: ${this.reason}${where(this)}; it never allocates again`
  }
}

/** The allocation ran past its ttl and was reclaimed before it was confirmed. */
export class AllocationExpired extends Schema.TaggedError<AllocationExpired>()("AllocationExpired", {
  ...keyFields,
  releasedAt: Schema.NullOr(text),
}) {
  override get message(): string {
    const when = this.releasedAt === null ? "" : ` at ${this.releasedAt}`
    return `The allocation ran past its ttl and was reclaimed${when}${where(this)}; a new request needs a new request id`
  }
}

/** The key is older than the tombstones that are kept, so nobody can tell whether it was used. */
export class KeyExpired extends Schema.TaggedError<KeyExpired>()("KeyExpired", requestFields) {
  override get message(): string {
    return `The key is too old to be used${where(this)}; a new request needs a new request id`
  }
}

/**
 * The operation that the request id names has ended: what comes late must not allocate, nor end it otherwise. `status` is its
 * state; `unwinding` where it was to succeed and was decided to unwind before.
 */
export class OperationEnded extends Schema.TaggedError<OperationEnded>()("OperationEnded", {
  ...requestFields,
  status: maybeText,
}) {
  override get message(): string {
    if (this.status === "unwinding") return `The operation unwinds${where(this)}; it can no longer succeed`
    const status = this.status === undefined ? "" : ` (${this.status})`
    return `The operation has ended${status}${where(this)}; that is final, and nothing is allocated under it any more`
  }
}
