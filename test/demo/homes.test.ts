import { describe, expect, test } from "vitest"
import { chooseHomes, chooseSmall } from "../../src/demo/homes.ts"
import { bar, bars } from "../../src/demo/stage.ts"
import type { Pool } from "../../src/promise.ts"

const pool = (vrf: string, name: string, free: bigint, held = 0n): Pool => ({
  outcome: "found",
  vrf,
  name,
  id: 1n,
  family: name.includes(":") ? 6 : 4,
  size: free + held,
  held,
  reserved: 0n,
  cooling: 0n,
  draining: 0n,
  state: "active",
  description: null,
  revision: 1n,
  free,
  cooldownSeconds: 0,
  gateway: "none",
  includeNetworkAddresses: false,
  ranges: [],
  createdAt: "2026-01-31T12:00:00.000Z",
})

const countBy = (all: ReadonlyArray<string>) =>
  Object.fromEntries([...Map.groupBy(all, (one) => one)].map(([one, same]) => [one, same.length]))

describe("homes", () => {
  test("have both families where a VRF has both, and VRFs without are left out then", () => {
    const pools = [pool("a", "10.0.0.0/24", 200n), pool("a", "fd00::/64", 2n ** 64n), pool("b", "10.1.0.0/16", 60_000n)]
    const homes = chooseHomes(pools, 50)
    expect(homes).toHaveLength(50)
    expect(homes[0]).toEqual({
      vrf: "a",
      slots: [
        { slot: "eth0/v4", pool: "10.0.0.0/24" },
        { slot: "eth0/v6", pool: "fd00::/64" },
      ],
    })
    expect(countBy(homes.map(({ vrf }) => vrf))).toEqual({ a: 50 })
  })

  test.each([
    ["10.0.0.0/24", "v4"],
    ["fd00::/120", "v6"],
  ])("have two addresses of one family where a plan has no other: %s", (name, family) => {
    const homes = chooseHomes([pool("a", name, 200n)], 400)
    expect(homes[0]?.slots.map(({ slot }) => slot)).toEqual([`eth0/${family}`, `eth1/${family}`])
    // One address of the pool is left for others.
    expect(homes).toHaveLength(99)
  })

  test("take turns over VRFs and go on in the next pool, roomiest first, never beyond what is free", () => {
    const pools = [pool("a", "10.0.0.0/29", 5n, 1n), pool("a", "10.1.0.0/28", 9n), pool("b", "10.0.0.0/29", 5n)]
    const homes = chooseHomes(pools, 400)
    expect(homes.map(({ vrf }) => vrf)).toEqual(["a", "b", "a", "b", "a", "a", "a", "a"])
    const taken = homes.flatMap(({ vrf, slots }) => slots.map((slot) => `${vrf} ${slot.pool}`))
    expect(countBy(taken)).toEqual({ "a 10.1.0.0/28": 8, "a 10.0.0.0/29": 4, "b 10.0.0.0/29": 4 })
  })

  test("are none where nothing is free", () => {
    expect(chooseHomes([], 400)).toEqual([])
    expect(chooseHomes([pool("a", "10.0.0.0/30", 0n, 4n), pool("a", "10.1.0.0/30", 1n)], 400)).toEqual([])
  })
})

test("the pool that is driven to its end is the smallest where nobody lives, else the smallest, and none that is huge", () => {
  const [huge, mid, small, full] = [
    pool("a", "10.0.0.0/8", 2n ** 24n),
    pool("a", "11.0.0.0/24", 254n),
    pool("a", "12.0.0.0/30", 2n),
    pool("a", "13.0.0.0/30", 0n, 2n),
  ]
  const living = (name: string) => [{ vrf: "a", slots: [{ slot: "eth0/v4", pool: name }] }]
  expect(chooseSmall([huge, mid, small, full], living("11.0.0.0/24"))).toBe(small)
  expect(chooseSmall([huge, mid, small, full], living("12.0.0.0/30"))).toBe(mid)
  expect(chooseSmall([huge, small, full], living("12.0.0.0/30"))).toBe(small)
  expect(chooseSmall([huge, full], [])).toBeUndefined()
})

describe("bars", () => {
  const blocks = (one: Pool) => countBy([...bar(one)])

  test("are of one width, in proportion, and show what is held at all", () => {
    expect(blocks(pool("a", "x", 0n, 256n))).toEqual({ "█": 32 })
    expect(blocks(pool("a", "x", 256n))).toEqual({ "·": 32 })
    expect(blocks(pool("a", "x", 128n, 128n))).toEqual({ "█": 16, "·": 16 })
    expect(blocks(pool("a", "x", 2n ** 64n, 1n))).toEqual({ "█": 1, "·": 31 })
    expect(blocks({ ...pool("a", "x", 0n, 255n), reserved: 1n, size: 256n })).toEqual({ "█": 31, "▒": 1 })
    expect(blocks({ ...pool("a", "x", 0n), reserved: 4n, size: 4n })).toEqual({ "▒": 32 })
  })

  test("stand below each other, a line a pool, and of many the fullest", () => {
    const few = bars([pool("a", "10.0.0.0/24", 250n, 6n), pool("longer", "fd00::/64", 2n ** 64n)])
    expect(few).toHaveLength(2)
    expect(new Set(few.map((line) => line.search(/[█▒·]/))).size).toBe(1)
    const many = bars(Array.from({ length: 30 }, (_, at) => pool("a", `10.0.${at}.0/24`, 100n, BigInt(at))))
    expect(many).toHaveLength(25)
    expect(many.at(0)).toContain("10.0.6.0/24")
    expect(many.at(-1)).toBe("... and 6 pools more")
  })
})
