import fc from "fast-check"
import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { readAddress, readPrefix, readRange, readVrf } from "../../src/netbox/entries.ts"
import { planImport, type Plan } from "../../src/netbox/plan.ts"
import { readEntries } from "../../src/netbox/readFolder.ts"
import { requestIdOf } from "../../src/netbox/requestKey.ts"
import { address, prefix, range, vrf, type RawExport } from "./exports.ts"

const plan = ({ vrfs = [], prefixes = [], ranges = [], addresses = [] }: RawExport): Plan =>
  planImport({
    vrfs: Result.getOrThrow(readEntries("vrfs.json", vrfs, readVrf)),
    prefixes: Result.getOrThrow(readEntries("prefixes.json", prefixes, readPrefix)),
    ranges: Result.getOrThrow(readEntries("ip-ranges.json", ranges, readRange)),
    addresses: Result.getOrThrow(readEntries("ip-addresses.json", addresses, readAddress)),
  })

const poolsOf = (planned: Plan) => planned.pools.map(({ vrf, pool }) => `${vrf} ${pool}`)
const reservedOf = (planned: Plan) => planned.reservations.map(({ vrf, pool, range }) => `${vrf} ${pool} ${range}`)
const heldOf = (planned: Plan) => planned.allocations.map(({ vrf, pool, address }) => `${vrf} ${pool} ${address}`)
const leftOf = (planned: Plan) => planned.left.map(({ file, id, reason }) => `${file} ${id} ${reason}`)

describe("active prefixes", () => {
  test("become pools named by their prefix in their VRF, IPv6 in its one spelling, the global table being default", () => {
    const prefixes = [
      prefix(1, "10.0.0.0/24"),
      prefix(2, "10.0.0.0/24", "active", 7),
      prefix(3, "2001:DB8:0:0::/64", "active", 7, { is_pool: true }),
      prefix(4, "0.0.0.0/0", "active", 8),
    ]
    const planned = plan({ vrfs: [vrf(7, "blue"), vrf(8, "wide")], prefixes })
    expect(poolsOf(planned).toSorted()).toEqual([
      "blue 10.0.0.0/24",
      "blue 2001:db8::/64",
      "default 10.0.0.0/24",
      "wide 0.0.0.0/0",
    ])
    expect(planned.pools.filter((pool) => pool.includeNetworkAddresses).map(({ id }) => id)).toEqual([3])
    expect(planned.left).toEqual([])
  })

  test("that lie in another one, or are there already, are left; the wider one and the lower id are the pool", () => {
    const prefixes = [
      prefix(9, "10.0.0.0/24"),
      prefix(5, "10.0.0.0/24"),
      prefix(2, "10.0.0.128/25"),
      prefix(3, "10.0.0.192/26"),
      prefix(4, "10.0.1.0/24"),
    ]
    const planned = plan({ prefixes, addresses: [address(1, "10.0.0.200/26")] })
    expect(planned.pools.map(({ id }) => id)).toEqual([5, 4])
    expect(planned.left).toMatchObject([
      { id: 9, index: 0, reason: "duplicate", message: "prefix 5 is the same" },
      { id: 2, index: 2, reason: "nested", message: "it lies in the pool 10.0.0.0/24" },
      { id: 3, index: 3, reason: "nested" },
    ])
    expect(heldOf(planned)).toEqual(["default 10.0.0.0/24 10.0.0.200"])
  })

  test("of which NetBox hands out nothing are reserved whole", () => {
    expect(reservedOf(plan({ prefixes: [prefix(1, "10.0.0.0/24", "active", null, { mark_utilized: true })] }))).toEqual(
      ["default 10.0.0.0/24 10.0.0.0/24"],
    )
  })
})

test("containers and other statuses become nothing", () => {
  const planned = plan({
    prefixes: [prefix(1, "10.0.0.0/8", "container"), prefix(2, "10.0.0.0/24"), prefix(3, "10.1.0.0/24", "deprecated")],
    ranges: [range(1, "10.0.0.10/24", "10.0.0.20/24", "active")],
    addresses: [address(1, "10.0.0.5/24", "dhcp"), address(2, "10.0.0.6/24", "slaac"), address(3, "10.1.0.5/24")],
  })
  expect(poolsOf(planned)).toEqual(["default 10.0.0.0/24"])
  expect([...planned.reservations, ...planned.allocations]).toEqual([])
  expect(leftOf(planned)).toEqual([
    "prefixes.json 1 container",
    "prefixes.json 3 status",
    "ip-ranges.json 1 status",
    "ip-addresses.json 1 status",
    "ip-addresses.json 2 status",
    "ip-addresses.json 3 outside",
  ])
})

test("reserved prefixes, ranges and addresses become reservations of the pools they lie in", () => {
  const planned = plan({
    prefixes: [
      prefix(1, "10.0.0.0/24"),
      prefix(2, "10.0.1.0/24"),
      prefix(3, "10.0.0.8/29", "reserved"),
      prefix(4, "10.0.0.0/16", "reserved"),
    ],
    ranges: [
      range(1, "10.0.0.32/24", "10.0.0.40/24"),
      range(2, "10.0.0.250/16", "10.0.2.3/16"),
      range(3, "10.0.2.0/24", "10.0.2.9/24"),
      range(4, "10.0.1.9/24", "10.0.1.9/24", "active", null, { mark_populated: true }),
    ],
    addresses: [address(1, "10.0.0.99/24", "reserved")],
  })
  expect(reservedOf(planned)).toEqual([
    "default 10.0.0.0/24 10.0.0.8/29",
    "default 10.0.0.0/24 10.0.0.32-10.0.0.40",
    "default 10.0.0.0/24 10.0.0.250-10.0.0.255",
    "default 10.0.1.0/24 10.0.1.0-10.0.1.255",
    "default 10.0.1.0/24 10.0.1.9",
    "default 10.0.0.0/24 10.0.0.99",
  ])
  expect(leftOf(planned)).toEqual(["prefixes.json 4 outside", "ip-ranges.json 3 outside"])
})

describe("active addresses", () => {
  const prefixes = [prefix(1, "10.0.0.0/22"), prefix(2, "2001:db8::/64")]

  test("become allocations, without their network's mask, with the owner that NetBox has for them", () => {
    const planned = plan({
      prefixes,
      addresses: [
        address(7, "10.0.0.0/22"),
        address(8, "10.0.1.1/32", "active", null, { assigned_object_type: "dcim.interface", assigned_object_id: 31 }),
        address(9, "2001:DB8::A/64"),
      ],
    })
    expect(planned.allocations).toMatchObject([
      { file: "ip-addresses.json", index: 0, id: 7, pool: "10.0.0.0/22", address: "10.0.0.0", owner: null },
      { address: "10.0.1.1", owner: { kind: "dcim.interface", id: "31" } },
      { pool: "2001:db8::/64", address: "2001:db8::a" },
    ])
    expect(planned.allocations.map(({ requestId }) => requestId)).toEqual([7, 8, 9].map(requestIdOf))
  })

  test("that are there already are left, the lower id having it, in whatever order they come; a reserved one is no duplicate", () => {
    const addresses = [
      address(4, "10.0.0.5/24"),
      address(3, "10.0.0.5/22"),
      address(5, "10.0.0.5/22", "reserved"),
      address(3, "10.0.0.6/22"),
    ]
    const planned = plan({ prefixes, addresses })
    expect(planned.allocations.map(({ id }) => id)).toEqual([3])
    expect(planned.reservations.map(({ id }) => id)).toEqual([5])
    expect(planned.left).toMatchObject([
      { index: 0, id: 4, reason: "duplicate", message: "address 3 is the same" },
      { index: 3, id: 3, reason: "duplicate", message: "id 3 is there already" },
    ])
  })

  test("that stand for an IPv4 address or for none are left, and stop nothing", () => {
    const addresses = ["::1/128", "::ffff:10.0.0.1/128", "::10.0.0.1/128", "::ffff:a00:1/128"]
    const planned = plan({
      prefixes: [prefix(1, "::/0", "container"), prefix(2, "::/0")],
      addresses: addresses.map((text, at) => address(at + 1, text)),
    })
    expect(planned.allocations).toEqual([])
    expect(planned.left.map(({ reason }) => reason)).toEqual(Array.from({ length: 6 }, () => "unusable"))
  })
})

test("VRFs of one name, of the global table's name, or of no name in the export have no place, nor has what is in them", () => {
  const vrfs = [vrf(1, "twin"), vrf(2, "twin"), vrf(3, "default"), vrf(4, "clear"), vrf(4, "clear")]
  const planned = plan({
    vrfs,
    prefixes: [1, 2, 3, 4, 5].map((id) => prefix(id, "10.0.0.0/24", "active", id)),
    addresses: [address(1, "10.0.0.5/24", "active", 2)],
  })
  expect(poolsOf(planned)).toEqual(["clear 10.0.0.0/24"])
  expect(planned.left.map(({ file, id, vrf, reason }) => [file, id, vrf, reason])).toEqual([
    ["vrfs.json", 1, "twin", "vrf_name"],
    ["vrfs.json", 2, "twin", "vrf_name"],
    ["vrfs.json", 3, "default", "vrf_name"],
    ["vrfs.json", 4, "clear", "duplicate"],
    ["prefixes.json", 1, null, "vrf_name"],
    ["prefixes.json", 2, null, "vrf_name"],
    ["prefixes.json", 3, null, "vrf_name"],
    ["prefixes.json", 5, null, "unknown_vrf"],
    ["ip-addresses.json", 1, null, "vrf_name"],
  ])
})

test("a request id is a UUID of version 8, the same for one NetBox id and different for two", () => {
  const ids = Array.from({ length: 2000 }, (_, id) => requestIdOf(id + 1))
  expect(ids.filter((id) => !/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))).toEqual(
    [],
  )
  expect(new Set(ids).size).toBe(ids.length)
  // Keys that were imported once are looked for under these ids for ever.
  expect(requestIdOf(1)).toBe("738688f0-b959-8e21-9857-90f30a7e423f")
})

describe("any plan", () => {
  const text = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.nat({ max: 255 }), fc.integer({ min: 24, max: 32 }))
    .map(
      ([third, last, length]) =>
        `10.0.${third}.${Math.floor(last / 2 ** (32 - length)) * 2 ** (32 - length)}/${length}`,
    )
  const status = fc.constantFrom("active", "active", "reserved", "container", "deprecated")
  const place = fc.constantFrom(null, null, 1, 2, 3)
  const id = fc.integer({ min: 1, max: 30 })
  const exported = fc.record({
    vrfs: fc.constant([vrf(1, "one"), vrf(2, "two"), vrf(3, "two")]),
    prefixes: fc.array(
      fc.tuple(id, text, status, place).map((fields) => prefix(...fields)),
      { maxLength: 20 },
    ),
    ranges: fc.array(fc.tuple(id, text, fc.constant("10.0.3.255/16"), status, place).map((fields) => range(...fields))),
    addresses: fc.array(
      fc.tuple(id, text, status, place).map((fields) => address(...fields)),
      { maxLength: 20 },
    ),
  })

  test("gives every entry one fate: it is made of something, or left", () => {
    fc.assert(
      fc.property(exported, (raw) => {
        const planned = plan(raw)
        const sources = [planned.pools, planned.reservations, planned.allocations, planned.left].flat()
        const fates = new Set(sources.map(({ file, index }) => `${file} ${index}`))
        const leftAlone = new Set(planned.left.map(({ file, index }) => `${file} ${index}`))
        // The one VRF whose name is clear is made with its first pool.
        expect(fates.size).toBe(2 + raw.prefixes.length + raw.ranges.length + raw.addresses.length)
        expect(planned.left.length).toBe(leftAlone.size)
        const made = [planned.pools, planned.reservations, planned.allocations].flat()
        expect(made.filter(({ file, index }) => leftAlone.has(`${file} ${index}`))).toEqual([])
      }),
    )
  })

  test("has pools that never overlap in a VRF, and holds no address twice", () => {
    const spanOf = (pool: string) => Result.getOrThrow(readPrefix(prefix(1, pool), 0)).span
    fc.assert(
      fc.property(exported, (raw) => {
        const planned = plan(raw)
        for (const [place, one] of planned.pools.entries()) {
          for (const other of planned.pools.slice(place + 1).filter(({ vrf }) => vrf === one.vrf)) {
            const [a, b] = [spanOf(one.pool), spanOf(other.pool)]
            expect(a.first > b.last || b.first > a.last).toBe(true)
          }
        }
        const held = heldOf(planned)
        expect(new Set(held).size).toBe(held.length)
      }),
    )
  })

  test("is the same whatever the order of the entries", () => {
    const unordered = (planned: Plan) =>
      [planned.pools, planned.reservations, planned.allocations].map((all) =>
        all.map((one) => JSON.stringify({ ...one, index: 0 })).toSorted(),
      )
    fc.assert(
      fc.property(exported, (raw) => {
        const once = <E extends { readonly id?: unknown }>(all: ReadonlyArray<E>): ReadonlyArray<E> => [
          ...new Map(all.map((entry) => [entry.id, entry])).values(),
        ]
        const unique = {
          vrfs: raw.vrfs,
          prefixes: once(raw.prefixes),
          ranges: once(raw.ranges),
          addresses: once(raw.addresses),
        }
        const turned = {
          vrfs: unique.vrfs.toReversed(),
          prefixes: unique.prefixes.toReversed(),
          ranges: unique.ranges.toReversed(),
          addresses: unique.addresses.toReversed(),
        }
        expect(unordered(plan(turned))).toEqual(unordered(plan(unique)))
      }),
    )
  })
})
