/**
 * What an export of NetBox or Nautobot says about addresses, in our words. Pure.
 *
 * Occupied is what NetBox itself would not hand out: every address whatever its status; every range, but since 4.3 not those that
 * it marks as open; a prefix that is reserved, deprecated or fully utilized, where it lies in a pool.
 */
import { compareIds } from "../inventory.ts"
import type { Inventory, Left, NamedSpace, Occupied, Origin, SourcePool, Space } from "../inventory.ts"
import { spaceOf, type AddressEntry, type Id, type SpaceEntry, type SpaceOfEntry } from "./entries.ts"
import type { Export } from "./readFolder.ts"

/**
 * The spaces that have a name: those of the files, or, where there is no such file, those that entries name by the way. Where
 * there are namespaces, VRFs are no spaces of their own.
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

export const inventoryOf = (from: Export): Inventory => {
  const pools: Array<SourcePool> = []
  const occupied: Array<Occupied> = []
  const left: Array<Left> = []

  for (const { file, index, id, text, space, span, status, isPool, full } of from.prefixes) {
    const item = { file, index, id, text, space: spaceOf(space) }
    const taken = { ...item, what: "prefix", span, hold: null, note: "" } as const
    if (status === "active") {
      pools.push({ ...item, span, includeNetworkAddresses: isPool })
      if (full) occupied.push({ ...taken, status: "fully utilized" })
    } else if (status === "container") {
      left.push({ ...item, reason: "container", message: "a container is no pool" })
    } else occupied.push({ ...taken, status })
  }

  for (const { file, index, id, text, space, span, status, open } of from.ranges) {
    const item = { file, index, id, text, space: spaceOf(space) }
    if (open)
      left.push({ ...item, reason: "open", message: "NetBox hands out its addresses: it is not marked as populated" })
    else occupied.push({ ...item, what: "range", span, status, hold: null, note: "" })
  }

  // Nautobot says of an address which prefix is its parent, and of that one its namespace.
  const spaces = new Map<Id, SpaceOfEntry | null>(from.prefixes.map(({ id, space }) => [id, space]))
  const homeOf = ({ space, parent }: AddressEntry): Space => {
    if (space !== null || parent === undefined) return spaceOf(space)
    const home = spaces.get(parent)
    return home === undefined ? { kind: "prefix", id: parent } : spaceOf(home)
  }
  for (const entry of from.addresses) {
    const { file, index, id, text, span, status, owner } = entry
    const hold = status === "active" ? { owner } : null
    occupied.push({ file, index, id, text, space: homeOf(entry), what: "address", span, status, hold, note: "" })
  }
  return { spaces: namedSpaces(from), pools, occupied, left }
}
