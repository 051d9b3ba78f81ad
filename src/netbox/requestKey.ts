/**
 * The request keys of imported addresses. Pure.
 */
import { createHash } from "node:crypto"

/**
 * The request id of the NetBox address with this id: always the same one, so that a second import replays the first. A UUID of
 * version 8 (RFC 9562 5.8) from SHA-256: it never reads as a version 7 one, which tells a time.
 */
export const requestIdOf = (id: number): string => {
  const hex = createHash("sha256").update(`saga-ipam/netbox/ip-address/${id}`).digest("hex")
  const variant = (8 + (Number.parseInt(hex.charAt(16), 16) & 3)).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-")
}
