/**
 * The request keys of imported addresses. Pure.
 *
 * A source has one request id for ever, and an address is a slot of it. So the same address has the same key in every import,
 * whatever the source's own ids become, and all keys of a source are one list.
 */
import { createHash } from "node:crypto"

/**
 * The request id of a source, such as `netbox`: a UUID of version 8 (RFC 9562 5.8) from SHA-256: it never reads as a version 7
 * one, which tells a time.
 */
export const requestIdOf = (source: string): string => {
  const hex = createHash("sha256").update(`saga-ipam/import/${source}`).digest("hex")
  const variant = (8 + (Number.parseInt(hex.charAt(16), 16) & 3)).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-")
}

/** The slot of an address: the address itself, then `10.0.0.5#2`, since a key that was released is spent. */
const slotOf = (address: string, nth: number): string => (nth === 1 ? address : `${address}#${nth}`)

/** The address that a slot stands for. */
export const addressOfSlot = (slot: string): string => slot.replace(/#\d+$/, "")

/** A key of the source, as far as the choice of a slot needs it. */
export interface KnownKey {
  readonly vrf: string
  readonly slot: string
  readonly released: boolean
}

/** Says which slot an address has: that of its live key, else the first that was never used. */
export const slotsAfter = (keys: ReadonlyArray<KnownKey>): ((vrf: string, address: string) => string) => {
  const released = new Map(keys.map(({ vrf, slot, released }) => [`${slot} ${vrf}`, released]))
  return (vrf, address) => {
    for (let nth = 1; ; nth++) {
      const slot = slotOf(address, nth)
      if (released.get(`${slot} ${vrf}`) !== true) return slot
    }
  }
}
