/**
 * Which entries of an export have an identity here: an id of their own, a vrf that its name tells, an address that pools can
 * hold. Pure; part of `plan.ts`.
 */
import { DEFAULT } from "../domain/identity.ts"
import type { AddressEntry, PrefixEntry, RangeEntry, VrfEntry } from "./entries.ts"
import { isUsable } from "./notation.ts"
import type { Reason } from "./plan.ts"
import type { FileName } from "./readFolder.ts"

export type Placed = PrefixEntry | RangeEntry | AddressEntry
/** Notes that an entry is left, and why. */
export type Leave = (
  file: FileName,
  entry: Placed | VrfEntry,
  vrf: string | null,
  reason: Reason,
  message: string,
) => void

const byId = <E extends { readonly id: number; readonly index: number }>(entries: ReadonlyArray<E>): Array<E> =>
  entries.toSorted((a, b) => a.id - b.id || a.index - b.index)

/** The VRFs that keys can name: by NetBox id, `undefined` where the name does not tell which is meant. */
export const nameVrfs = (entries: ReadonlyArray<VrfEntry>, leave: Leave): Map<number, string | undefined> => {
  const first = new Map<number, VrfEntry>()
  for (const vrf of byId(entries)) {
    if (first.has(vrf.id)) leave("vrfs.json", vrf, vrf.name, "duplicate", `id ${vrf.id} is there already`)
    else first.set(vrf.id, vrf)
  }
  const called = Map.groupBy(first.values(), ({ name }) => name)
  const names = new Map<number, string | undefined>()
  for (const [name, same] of called) {
    const clear = same.length === 1 && name !== DEFAULT
    for (const vrf of same) {
      names.set(vrf.id, clear ? name : undefined)
      if (clear) continue
      const others = same.filter(({ id }) => id !== vrf.id).map(({ id }) => id)
      const message =
        name === DEFAULT
          ? `"${DEFAULT}" is the name of the global table here`
          : `VRF ${others.join(", ")} has the same name`
      leave("vrfs.json", vrf, name, "vrf_name", message)
    }
  }
  return names
}

/** Leaves what has no vrf, no usable address, or an id that is there already; the rest comes with its vrf, by id. */
export const locate = <E extends Placed>(
  file: FileName,
  entries: ReadonlyArray<E>,
  vrfs: Map<number, string | undefined>,
  leave: Leave,
): ReadonlyArray<{ readonly vrf: string; readonly entry: E }> => {
  const seen = new Set<number>()
  return byId(entries).flatMap((entry) => {
    const vrf = entry.vrf === null ? DEFAULT : vrfs.get(entry.vrf)
    if (seen.has(entry.id)) {
      leave(file, entry, vrf ?? null, "duplicate", `id ${entry.id} is there already`)
    } else if (vrf === undefined) {
      if (entry.vrf !== null && vrfs.has(entry.vrf)) {
        leave(file, entry, null, "vrf_name", `the name of VRF ${entry.vrf} does not tell which VRF is meant`)
      } else leave(file, entry, null, "unknown_vrf", `vrfs.json has no VRF ${entry.vrf}`)
    } else if (!isUsable(entry.span)) {
      leave(file, entry, vrf, "unusable", "IPv6 addresses that stand for IPv4 ones cannot be handed out")
    } else {
      seen.add(entry.id)
      return [{ vrf, entry }]
    }
    seen.add(entry.id)
    return []
  })
}
