/**
 * Which of our VRFs an address space of another system becomes. The first import decides; the decision is stored under the id that
 * the other system has for the space, and renaming the space there does not change it. Pure.
 */
import { DEFAULT, MAX_NAME_LENGTH } from "../domain/identity.ts"
import { compareIds, type NamedSpace, type Space } from "./inventory.ts"

/** The VRF of one address space; `kind` and `id` are the other system's. */
export interface Binding {
  readonly kind: string
  readonly id: string
  readonly vrf: string
}

const keyOf = ({ kind, id }: { readonly kind: string; readonly id: number | string }): string => `${kind} ${id}`

/** Nautobot's default namespace, which becomes our VRF `default`. */
const isGlobal = ({ kind, name }: NamedSpace): boolean => kind === "namespace" && name === "Global"

/**
 * A binding for each space that has none yet. The VRF is called what the space is called if no other space has that name; else
 * `NAME (ROUTE DISTINGUISHER)`, or, where that is not unique either, `NAME (KIND ID)`.
 */
export const bindNew = (
  spaces: ReadonlyArray<NamedSpace>,
  bindings: ReadonlyArray<Binding>,
): ReadonlyArray<Binding> => {
  const bound = new Set(bindings.map(keyOf))
  const used = new Set(bindings.map(({ vrf }) => vrf))
  const countBy = (nameOf: (space: NamedSpace) => string): ReadonlyMap<string, number> =>
    new Map([...Map.groupBy(spaces, nameOf)].map(([name, same]) => [name, new Set(same.map(keyOf)).size]))
  const withRd = ({ name, rd }: NamedSpace) => `${name} (${rd})`
  const [spacesByName, spacesByNameAndRd] = [countBy(({ name }) => name), countBy(withRd)]
  const fresh: Array<Binding> = []
  for (const space of spaces.toSorted((a, b) => compareIds(a.id, b.id))) {
    if (bound.has(keyOf(space))) continue
    const candidates = [
      ...(isGlobal(space) ? [DEFAULT] : []),
      ...(spacesByName.get(space.name) === 1 && space.name !== DEFAULT ? [space.name] : []),
      ...(space.rd !== null && spacesByNameAndRd.get(withRd(space)) === 1 ? [withRd(space)] : []),
    ]
    const free = candidates.find((name) => !used.has(name) && [...name].length <= MAX_NAME_LENGTH)
    const vrf = free ?? `${[...space.name].slice(0, 120).join("")} (${space.kind} ${space.id})`
    used.add(vrf)
    bound.add(keyOf(space))
    fresh.push({ kind: space.kind, id: String(space.id), vrf })
  }
  return fresh
}

/** Returns the function that looks up the VRF of a space; it answers `undefined` for a space without a binding. */
export const vrfLookup = (bindings: ReadonlyArray<Binding>): ((space: Space) => string | undefined) => {
  const vrfs = new Map(bindings.map((binding) => [keyOf(binding), binding.vrf]))
  return (space) => ("vrf" in space ? space.vrf : vrfs.get(keyOf(space)))
}
