/**
 * The request keys of imported addresses. Pure.
 *
 * Each source has one fixed request id, and each of its addresses is a slot of that request. So an address has the same key in
 * every import, even if the source renumbers its objects, and one listing by request id returns all keys of the source.
 */
import { createHash } from "node:crypto"

/**
 * The request id of a source, such as `netbox`: a UUID derived from the source's name by SHA-256. It is of version 8 (RFC 9562,
 * section 5.8), so that nobody reads a time from it, as one can from version 7.
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

/** The nth slot of an address: `10.0.0.5`, then `10.0.0.5#2` and so on. A released key cannot be used again, so the next takes over. */
const slotOf = (address: string, nth: number): string => (nth === 1 ? address : `${address}#${nth}`)

/** The address that a slot stands for. */
export const addressOfSlot = (slot: string): string => slot.replace(/#\d+$/, "")

/** The parts of a key on which the choice of a slot depends. */
export interface KnownKey {
  readonly vrf: string
  readonly slot: string
  readonly released: boolean
}

/** Returns the function that chooses the slot of an address: the slot of its live key, else the first one never used. */
export const slotChooser = (keys: ReadonlyArray<KnownKey>): ((vrf: string, address: string) => string) => {
  const released = new Map(keys.map(({ vrf, slot, released }) => [`${slot} ${vrf}`, released]))
  return (vrf, address) => {
    for (let nth = 1; ; nth++) {
      const slot = slotOf(address, nth)
      if (released.get(`${slot} ${vrf}`) !== true) return slot
    }
  }
}
