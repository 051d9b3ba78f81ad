/**
 * The id of an operation, derived from a hash or from another engine's id of an execution: the request id of every key allocated under it.
 *
 * Pure. An execution id is 128 bits of a hash, of which 1.5 in a hundred would read as a UUIDv7, whose age would then mean
 * something; the derived id is always version 8.
 */
import { createHash } from "node:crypto"

/**
 * `6ee33dc1-0f4a-8783-8839-5a7ce7e352bb` of the execution id `6ee33dc10f4a578388395a7ce7e352bb`: the same 32 digits, with the
 * bits of version and variant set. Any other text than 32 hexadecimal digits is hashed (SHA-256) first.
 */
export const operationIdOf = (executionId: string): string => {
  const digits = /^[0-9a-f]{32}$/.test(executionId)
    ? executionId
    : createHash("sha256").update(executionId).digest("hex").slice(0, 32)
  const variant = "89ab"[Number.parseInt(digits.charAt(16), 16) & 3]
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `8${digits.slice(13, 16)}`,
    `${variant}${digits.slice(17, 20)}`,
    digits.slice(20),
  ].join("-")
}
