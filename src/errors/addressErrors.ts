/**
 * The errors of a request for an explicit address. Pure; exported by `errors.ts`.
 */
import * as Schema from "effect/Schema"
import { quoted, where } from "./errorText.ts"

const text = Schema.String
const maybeText = Schema.optional(text)

/** `address` is what was requested, e.g. `10.0.0.5`, or a range to reserve; `slot` is set if the request had several slots. */
const addressFields = { vrf: text, pool: text, slot: maybeText, address: text }

const OwnerRef = Schema.Struct({ kind: text, id: text })

/** Somebody else holds the address. `heldBy` is the owner, `null` if the allocation has none. */
export class AddressTaken extends Schema.TaggedError<AddressTaken>()("AddressTaken", {
  ...addressFields,
  heldBy: Schema.NullOr(OwnerRef),
}) {
  override get message(): string {
    const holder = this.heldBy === null ? "" : ` by ${quoted(`${this.heldBy.kind}/${this.heldBy.id}`)}`
    return `${this.address} is held${holder}${where(this)}`
  }
}

/** The address was released recently and is not handed out before `until`, except to its last owner or with `allowCooling`. */
export class AddressCooling extends Schema.TaggedError<AddressCooling>()("AddressCooling", {
  ...addressFields,
  until: text,
}) {
  override get message(): string {
    return `${this.address} is cooling until ${this.until}${where(this)}; until then only its last owner can have it, or a request with allowCooling`
  }
}

/** The address is reserved: it is allocated only to a request with `allowReserved`. */
export class AddressReserved extends Schema.TaggedError<AddressReserved>()("AddressReserved", addressFields) {
  override get message(): string {
    return `${this.address} is reserved${where(this)}; only a request with allowReserved can have it`
  }
}

/** The address lies in a draining range: it is allocated only to a request with `allowDraining`. */
export class AddressDraining extends Schema.TaggedError<AddressDraining>()("AddressDraining", addressFields) {
  override get message(): string {
    return `${this.address} is draining${where(this)}; only a request with allowDraining can have it`
  }
}

/** The address lies in no range of the pool. */
export class AddressOutside extends Schema.TaggedError<AddressOutside>()("AddressOutside", addressFields) {
  override get message(): string {
    return `${this.address} is in no range of the pool${where(this)}`
  }
}
