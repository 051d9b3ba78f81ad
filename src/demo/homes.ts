/**
 * Chooses the pools of a demo: those with room for instances, and one that is small enough to be exhausted. Pure.
 */
import type { Pool } from "../promise.ts"

/** The pools of one instance's addresses: two slots in one VRF, of both families if the plan has both. */
export interface Home {
  readonly vrf: string
  readonly slots: ReadonlyArray<{ readonly slot: string; readonly pool: string }>
}

/** The name of a pool for each address that the pools can provide, at most `most`, the largest first; one address of each is spared. */
const roomOf = (pools: ReadonlyArray<Pool>, most: number): ReadonlyArray<string> => {
  const room: Array<string> = []
  for (const { name, free } of pools.toSorted((a, b) => Number(b.free - a.free))) {
    const count = Math.min(most - room.length, Number(free > 0n ? free - 1n : 0n))
    room.push(...Array.from({ length: count }, () => name))
  }
  return room
}

const homesOf = (vrf: string, pools: ReadonlyArray<Pool>, most: number): ReadonlyArray<Home> => {
  const [v4 = [], v6 = []] = [4, 6].map((family) =>
    roomOf(
      pools.filter((pool) => pool.family === family),
      2 * most,
    ),
  )
  const family = v4.length === 0 ? "v6" : "v4"
  const alone = v4.length === 0 ? v6 : v4
  const both = v4.length > 0 && v6.length > 0
  const count = both ? Math.min(v4.length, v6.length) : Math.floor(alone.length / 2)
  return Array.from({ length: Math.min(most, count) }, (_, place) => ({
    vrf,
    slots: both
      ? [
          { slot: "eth0/v4", pool: v4[place] ?? "" },
          { slot: "eth0/v6", pool: v6[place] ?? "" },
        ]
      : [
          { slot: `eth0/${family}`, pool: alone[2 * place] ?? "" },
          { slot: `eth1/${family}`, pool: alone[2 * place + 1] ?? "" },
        ],
  }))
}

const isDual = ({ slots }: Home): boolean =>
  slots.some(({ slot }) => slot === "eth0/v6") && slots.some(({ slot }) => slot === "eth0/v4")

/**
 * At most `most` homes, from each VRF in turn. If any VRF has room in both families, only such VRFs are used; else each home has two
 * slots of the one family that its VRF has.
 */
export const chooseHomes = (pools: ReadonlyArray<Pool>, most: number): ReadonlyArray<Home> => {
  const all = [...Map.groupBy(pools, ({ vrf }) => vrf)].map(([vrf, own]) => homesOf(vrf, own, most))
  const dual = all.filter(([first]) => first !== undefined && isDual(first))
  const chosen = dual.length > 0 ? dual : all
  const rounds = Math.max(0, ...chosen.map((homes) => homes.length))
  return Array.from({ length: rounds }, (_, round) => chosen.flatMap((homes) => homes[round] ?? []))
    .flat()
    .slice(0, most)
}

/** The largest pool that is exhausted, since every address takes one call. */
const MAX_EXHAUSTED_SIZE = 4096n

/** The pool with the fewest free addresses, but at least one; preferably one that no home uses. */
export const chooseSmall = (pools: ReadonlyArray<Pool>, homes: ReadonlyArray<Home>): Pool | undefined => {
  const usedByHomes = new Set(homes.flatMap(({ vrf, slots }) => slots.map(({ pool }) => `${pool} ${vrf}`)))
  const isUsed = ({ vrf, name }: Pool) => Number(usedByHomes.has(`${name} ${vrf}`))
  return pools
    .filter(({ free }) => free > 0n && free <= MAX_EXHAUSTED_SIZE)
    .toSorted((a, b) => isUsed(a) - isUsed(b) || Number(a.free - b.free))[0]
}
