/**
 * Where the instances of a demo live: which pools of a plan have room for them, and which one is small enough to be driven to
 * its end. Pure.
 */
import type { Pool } from "../promise.ts"

/** The addresses of one instance: two slots, of both families where the plan has both, all in one vrf. */
export interface Home {
  readonly vrf: string
  readonly slots: ReadonlyArray<{ readonly slot: string; readonly pool: string }>
}

/** The name of a pool for each address that the pools can give, the roomiest first, at most `most`. One of each is left over. */
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
 * At most so many homes, from each vrf in turn. VRFs with both families come alone, if there is one with room; else each has
 * two slots of the one family that it has.
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

/** The largest pool that is driven to its end: every address of it is one call. */
const MOST_DRIVEN = 4096n

/** The pool with the least room that is still some, best one where nobody lives. */
export const chooseSmall = (pools: ReadonlyArray<Pool>, homes: ReadonlyArray<Home>): Pool | undefined => {
  const lived = new Set(homes.flatMap(({ vrf, slots }) => slots.map(({ pool }) => `${pool} ${vrf}`)))
  const isLived = ({ vrf, name }: Pool) => Number(lived.has(`${name} ${vrf}`))
  return pools
    .filter(({ free }) => free > 0n && free <= MOST_DRIVEN)
    .toSorted((a, b) => isLived(a) - isLived(b) || Number(a.free - b.free))[0]
}
