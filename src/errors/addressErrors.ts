/**
 * Why an address that was asked for is not given. Pure; part of `errors.ts`.
 */
import * as Schema from "effect/Schema"
import { quoted, where } from "./errorText.ts"

const text = Schema.String
const maybeText = Schema.optional(text)

/** `address` is the text asked for, e.g. `10.0.0.5`, of a reservation also a range; `slot` as in the other refusals. */
const addressFields = { vrf: text, pool: text, slot: maybeText, address: text }

const OwnerRef = Schema.Struct({ kind: text, id: text })

/** Somebody else holds the address; `heldBy` is the owner, `null` when the holder named none. */
export class AddressTaken extends Schema.TaggedError<AddressTaken>()("AddressTaken", {
  ...addressFields,
  heldBy: Schema.NullOr(OwnerRef),
}) {
  override get message(): string {
    const holder = this.heldBy === null ? "" : ` by ${quoted(`${this.heldBy.kind}/${this.heldBy.id}`)}`
    return `${this.address} is held${holder}${where(this)}`
  }
}

/** The address was released a while ago and rests until `until`; its last owner, or a caller with `allowCooling`, may have it before. */
export class AddressCooling extends Schema.TaggedError<AddressCooling>()("AddressCooling", {
  ...addressFields,
  until: text,
}) {
  override get message(): string {
    return `${this.address} is cooling until ${this.until}${where(this)}; only its last owner or allowCooling gets it before`
  }
}

/** The address is never handed out automatically; `allowReserved` takes it. */
export class AddressReserved extends Schema.TaggedError<AddressReserved>()("AddressReserved", addressFields) {
  override get message(): string {
    return `${this.address} is reserved${where(this)}; only allowReserved takes it`
  }
}

/** The address lies in a draining range, from which nothing is allocated automatically; `allowDraining` takes it. */
export class AddressDraining extends Schema.TaggedError<AddressDraining>()("AddressDraining", addressFields) {
  override get message(): string {
    return `${this.address} is draining${where(this)}; only allowDraining takes it`
  }
}

/** No range of the pool holds the address. */
export class AddressOutside extends Schema.TaggedError<AddressOutside>()("AddressOutside", addressFields) {
  override get message(): string {
    return `${this.address} is in no range of the pool${where(this)}`
  }
}
