/**
 * Turns the export of a NetBox or a Nautobot into an inventory. Pure.
 *
 * Occupied is whatever NetBox itself would not hand out: every address, whatever its status; every range, except one that NetBox
 * 4.3 or later does not mark as populated; every prefix that is reserved, deprecated or fully utilized.
 */
import { compareIds } from "../inventory.ts"
import type { Inventory, NamedSpace, Occupied, Origin, Skipped, SourcePool, Space } from "../inventory.ts"
import { spaceOf, type AddressEntry, type Id, type SpaceEntry, type SpaceOfEntry } from "./entries.ts"
import type { Export } from "./readFolder.ts"

/**
 * The address spaces by name: those that the files list, or, without such a file, those that other entries name. In an export
 * with namespaces, VRFs are labels and not address spaces.
 */
const namedSpaces = ({ vrfs, namespaces, prefixes, ranges, addresses }: Export): ReadonlyArray<NamedSpace> => {
  const found = new Map<string, NamedSpace>()
  const add = (kind: SpaceOfEntry["kind"], { file, index, id, name, rd }: Origin & SpaceEntry) => {
    const key = `${kind} ${id}`
    if (!found.has(key)) found.set(key, { file, index, id, kind, name, rd })
  }
  if (namespaces === undefined) vrfs?.forEach((vrf) => add("vrf", vrf))
  namespaces?.forEach((namespace) => add("namespace", namespace))
  for (const { file, index, space } of [prefixes, ranges, addresses].flat()) {
    const listed = space?.kind === "namespace" ? namespaces : vrfs
    if (space?.name === undefined || listed !== undefined) continue
    add(space.kind, { file, index, id: space.id, name: space.name, rd: space.rd })
  }
  return [...found.values()].toSorted((a, b) => compareIds(a.id, b.id))
}

export const toInventory = (from: Export): Inventory => {
  const pools: Array<SourcePool> = []
  const occupied: Array<Occupied> = []
  const skipped: Array<Skipped> = []

  for (const { file, index, id, text, space, span, status, isPool, full } of from.prefixes) {
    const item = { file, index, id, text, space: spaceOf(space) }
    const occupiedPrefix = { ...item, what: "prefix", span, hold: null, note: "" } as const
    if (status === "active") {
      pools.push({ ...item, span, includeNetworkAddresses: isPool })
      if (full) occupied.push({ ...occupiedPrefix, status: "fully utilized" })
    } else if (status === "container") {
      skipped.push({ ...item, reason: "container", message: "a container is not a pool" })
    } else occupied.push({ ...occupiedPrefix, status })
  }

  for (const { file, index, id, text, space, span, status, open } of from.ranges) {
    const item = { file, index, id, text, space: spaceOf(space) }
    if (open)
      skipped.push({
        ...item,
        reason: "open",
        message: "NetBox hands out its addresses: it is not marked as populated",
      })
    else occupied.push({ ...item, what: "range", span, status, hold: null, note: "" })
  }

  // Nautobot gives each address a parent prefix, whose namespace is that of the address.
  const spaceOfPrefix = new Map<Id, SpaceOfEntry | null>(from.prefixes.map(({ id, space }) => [id, space]))
  const spaceOfAddress = ({ space, parent }: AddressEntry): Space => {
    if (space !== null || parent === undefined) return spaceOf(space)
    const inherited = spaceOfPrefix.get(parent)
    return inherited === undefined ? { kind: "prefix", id: parent } : spaceOf(inherited)
  }
  for (const entry of from.addresses) {
    const { file, index, id, text, span, status, owner } = entry
    const hold = status === "active" ? { owner } : null
    occupied.push({
      file,
      index,
      id,
      text,
      space: spaceOfAddress(entry),
      what: "address",
      span,
      status,
      hold,
      note: "",
    })
  }
  return { spaces: namedSpaces(from), pools, occupied, skipped }
}
