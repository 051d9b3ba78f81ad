/** Allocations as text for people. Pure. */
import type { AddressRecord, Allocation, KeyRecord, Released } from "../contract/allocation.ts"
import { details, table } from "./output.ts"

type AnyAllocation = Allocation | KeyRecord | Released

const withLength = ({ address, prefixLength }: AnyAllocation): string | null =>
  address === null || prefixLength === null ? address : `${address}/${prefixLength}`

const ownerText = ({ owner }: AnyAllocation): string | null => (owner === null ? null : `${owner.kind}/${owner.id}`)

/** One allocation or tombstone, one field a line. */
export const allocationText = (one: AnyAllocation): string =>
  details([
    ["outcome", one.outcome],
    ...("freed" in one ? ([["freed", one.freed ? "yes" : "no, the key held nothing"]] as const) : []),
    ["address", withLength(one)],
    ["gateway", one.gateway],
    ["pool", one.pool],
    ["vrf", one.vrf],
    ["request", one.requestId],
    ["slot", one.slot],
    ["state", one.state],
    ["allocated", one.allocatedAt],
    ["expires", one.expiresAt],
    ["owner", ownerText(one)],
    ["generation", one.generation],
    ...("releasedAt" in one
      ? ([
          ["released", `${one.releasedAt} (${one.releaseReason})`],
          ["released by", one.releasedBy],
          ["note", one.releaseNote],
        ] as const)
      : []),
  ])

/** An address: the allocation that holds it, or why nobody does. */
export const addressText = (one: AddressRecord): string =>
  one.outcome === "held" || "state" in one
    ? allocationText(one)
    : details([
        ["outcome", one.outcome],
        ["address", one.prefixLength === null ? one.address : `${one.address}/${one.prefixLength}`],
        ["gateway", one.gateway],
        ["pool", one.pool],
        ["vrf", one.vrf],
        ["cooling", one.until === null ? null : `until ${one.until}`],
        ["last owner", one.lastOwner === null ? null : `${one.lastOwner.kind}/${one.lastOwner.id}`],
        ["draining", one.draining ? "yes" : null],
        ...one.reservations.map(
          ({ first, last, kind, reason }) =>
            [
              "reserved",
              `${first === last ? first : `${first}-${last}`} (${reason === null ? kind : `${kind}: ${reason}`})`,
            ] as const,
        ),
      ])

/** Several allocations, one a line. */
export const allocationTable = (all: ReadonlyArray<AnyAllocation>): string =>
  table(
    ["ADDRESS", "STATE", "POOL", "VRF", "REQUEST", "SLOT", "OWNER", "SINCE", "UNTIL"],
    all.map((one) => [
      withLength(one),
      one.state,
      one.pool,
      one.vrf,
      one.requestId,
      one.slot,
      ownerText(one),
      one.allocatedAt,
      one.state === "released" ? one.releasedAt : one.expiresAt,
    ]),
    "Nothing found.",
  )
