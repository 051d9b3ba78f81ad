/**
 * Which VRF an address space of another system is. The first import decides, and its answer is kept under the space's id. Pure.
 */
import { DEFAULT, MAX_NAME_LENGTH } from "../domain/identity.ts"
import { compareIds, type NamedSpace, type Space } from "./inventory.ts"

/** What was decided about one space. */
export interface Binding {
  readonly kind: string
  readonly id: string
  readonly vrf: string
}

const keyOf = ({ kind, id }: { readonly kind: string; readonly id: number | string }): string => `${kind} ${id}`

/** Nautobot's namespace of what is in none, as `default` is ours. */
const isGlobal = ({ kind, name }: NamedSpace): boolean => kind === "namespace" && name === "Global"

/**
 * The spaces that have no binding yet, with one for each. A name that is its own alone is the VRF's name; else the route
 * distinguisher tells it from its namesakes, or, where that does not, the id.
 */
export const bindNew = (
  spaces: ReadonlyArray<NamedSpace>,
  bindings: ReadonlyArray<Binding>,
): ReadonlyArray<Binding> => {
  const bound = new Set(bindings.map(keyOf))
  const used = new Set(bindings.map(({ vrf }) => vrf))
  const count = (text: (space: NamedSpace) => string): ReadonlyMap<string, number> =>
    new Map([...Map.groupBy(spaces, text)].map(([name, same]) => [name, new Set(same.map(keyOf)).size]))
  const byRd = ({ name, rd }: NamedSpace) => `${name} (${rd})`
  const [names, distinguished] = [count(({ name }) => name), count(byRd)]
  const fresh: Array<Binding> = []
  for (const space of spaces.toSorted((a, b) => compareIds(a.id, b.id))) {
    if (bound.has(keyOf(space))) continue
    const candidates = [
      ...(isGlobal(space) ? [DEFAULT] : []),
      ...(names.get(space.name) === 1 && space.name !== DEFAULT ? [space.name] : []),
      ...(space.rd !== null && distinguished.get(byRd(space)) === 1 ? [byRd(space)] : []),
    ]
    const free = candidates.find((name) => !used.has(name) && [...name].length <= MAX_NAME_LENGTH)
    const vrf = free ?? `${[...space.name].slice(0, 120).join("")} (${space.kind} ${space.id})`
    used.add(vrf)
    bound.add(keyOf(space))
    fresh.push({ kind: space.kind, id: String(space.id), vrf })
  }
  return fresh
}

/** The VRF of a space; `undefined` for one that no binding knows. */
export const vrfsBy = (bindings: ReadonlyArray<Binding>): ((space: Space) => string | undefined) => {
  const vrfs = new Map(bindings.map((binding) => [keyOf(binding), binding.vrf]))
  return (space) => ("vrf" in space ? space.vrf : vrfs.get(keyOf(space)))
}
