import fc from "fast-check"
import * as Result from "effect/Result"
import { describe, expect, test } from "vitest"
import { requestIdOf, slotChooser } from "../../src/import/requestKeys.ts"
import { readPrefix } from "../../src/import/netbox/entries.ts"
import { planContents, planPools } from "../../src/import/plan.ts"
import { inFileOrder } from "../../src/import/report.ts"
import { SpanIndex } from "../../src/import/spans.ts"
import { bindNew, vrfLookup } from "../../src/import/vrfBindings.ts"
import { address, inventoryFrom, prefix, range, vrf, type RawExport } from "./netbox/exports.ts"

/** The plan for an empty database. */
const plan = (raw: RawExport) => {
  const inventory = inventoryFrom(raw)
  const vrfOf = vrfLookup(bindNew(inventory.spaces, []))
  const { fresh, skipped } = planPools(inventory.pools, vrfOf, new SpanIndex([]))
  const ranges = fresh.map(({ planned: { vrf, pool }, span }, at) => ({ vrf, pool, id: String(at + 1), span }))
  const naming = { source: "netbox", requestId: requestIdOf("netbox") }
  const contents = planContents(inventory, vrfOf, new SpanIndex(ranges), [], naming)
  return {
    pools: fresh.map(({ planned }) => planned),
    reservations: inFileOrder(contents.reservations.map(({ planned }) => planned)),
    allocations: inFileOrder(contents.allocations.map(({ planned }) => planned)),
    skipped: inFileOrder([...skipped, ...contents.skipped]),
    outside: inFileOrder(contents.outside),
  }
}
type Plan = ReturnType<typeof plan>

const poolsOf = (planned: Plan) => planned.pools.map(({ vrf, pool }) => `${vrf} ${pool}`)
const reservedOf = (planned: Plan) => planned.reservations.map(({ vrf, pool, range }) => `${vrf} ${pool} ${range}`)
const heldOf = (planned: Plan) => planned.allocations.map(({ vrf, pool, address }) => `${vrf} ${pool} ${address}`)
const reportedOf = (all: Plan["skipped"]) => all.map(({ file, id, reason }) => `${file} ${id} ${reason}`)

describe("active prefixes", () => {
  test("become pools of their VRF, named by the prefix in canonical spelling; the global table is the VRF default", () => {
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
    expect(planned.skipped).toEqual([])
  })

  test("that are nested or duplicates are skipped; the wider prefix, or the one with the lower id, becomes the pool", () => {
    const prefixes = [
      prefix(9, "10.0.0.0/24"),
      prefix(5, "10.0.0.0/24"),
      prefix(2, "10.0.0.128/25"),
      prefix(3, "10.0.0.192/26"),
      prefix(4, "10.0.1.0/24"),
    ]
    const planned = plan({ prefixes, addresses: [address(1, "10.0.0.200/26")] })
    expect(planned.pools.map(({ id }) => id)).toEqual([5, 4])
    expect(planned.skipped).toMatchObject([
      { id: 9, index: 0, reason: "duplicate", message: "prefix 5 is the same" },
      { id: 2, index: 2, reason: "nested", message: "it lies in pool 10.0.0.0/24" },
      { id: 3, index: 3, reason: "nested" },
    ])
    expect(heldOf(planned)).toEqual(["default 10.0.0.0/24 10.0.0.200"])
  })

  test("that are marked as fully utilized become pools that are reserved entirely", () => {
    expect(reservedOf(plan({ prefixes: [prefix(1, "10.0.0.0/24", "active", null, { mark_utilized: true })] }))).toEqual(
      ["default 10.0.0.0/24 10.0.0.0/24"],
    )
  })
})

test("containers, and inactive prefixes in no pool, are skipped", () => {
  const planned = plan({
    prefixes: [prefix(1, "10.0.0.0/8", "container"), prefix(2, "10.0.0.0/24"), prefix(3, "10.1.0.0/24", "deprecated")],
  })
  expect(poolsOf(planned)).toEqual(["default 10.0.0.0/24"])
  expect([...planned.reservations, ...planned.allocations, ...planned.outside]).toEqual([])
  expect(reportedOf(planned.skipped)).toEqual(["prefixes.json 1 container", "prefixes.json 3 outside"])
})

test("whatever is occupied, with any status, becomes a reservation in each pool that it touches, with a reason", () => {
  const planned = plan({
    prefixes: [
      prefix(1, "10.0.0.0/24"),
      prefix(2, "10.0.1.0/24"),
      prefix(3, "10.0.0.8/29", "reserved"),
      prefix(4, "10.0.0.0/16", "reserved"),
      prefix(5, "10.0.0.16/29", "deprecated"),
    ],
    ranges: [
      range(1, "10.0.0.32/24", "10.0.0.40/24"),
      range(2, "10.0.0.250/16", "10.0.1.3/16", "active"),
      range(4, "10.0.1.9/24", "10.0.1.9/24", "deprecated"),
    ],
    addresses: [address(1, "10.0.0.99/24", "dhcp"), address(2, "10.0.0.98/24", "slaac")],
  })
  expect(planned.reservations.map(({ pool, range, reason }) => [pool, range, reason])).toEqual([
    ["10.0.0.0/24", "10.0.0.8/29", "import netbox: prefix 3 is reserved"],
    ["10.0.0.0/24", "10.0.0.16/29", "import netbox: prefix 5 is deprecated"],
    ["10.0.0.0/24", "10.0.0.32-10.0.0.40", "import netbox: range 1 is reserved"],
    ["10.0.0.0/24", "10.0.0.250-10.0.0.255", "import netbox: range 2 is active"],
    ["10.0.1.0/24", "10.0.1.0-10.0.1.3", "import netbox: range 2 is active"],
    ["10.0.1.0/24", "10.0.1.9", "import netbox: range 4 is deprecated"],
    ["10.0.0.0/24", "10.0.0.99", "import netbox: address 1 is dhcp"],
    ["10.0.0.0/24", "10.0.0.98", "import netbox: address 2 is slaac"],
  ])
  expect(reportedOf(planned.skipped)).toEqual(["prefixes.json 4 outside"])
  expect(planned.outside).toEqual([])
})

test("since NetBox 4.3 an active range is occupied only if it is marked as populated or as utilized", () => {
  const marked = (populated: boolean, utilized: boolean) => ({ mark_populated: populated, mark_utilized: utilized })
  const planned = plan({
    prefixes: [prefix(1, "10.0.0.0/24")],
    ranges: [
      range(1, "10.0.0.10/24", "10.0.0.19/24", "active", null, marked(false, false)),
      range(2, "10.0.0.20/24", "10.0.0.29/24", "active", null, marked(true, false)),
      range(3, "10.0.0.30/24", "10.0.0.39/24", "active", null, marked(false, true)),
      range(4, "10.0.0.40/24", "10.0.0.49/24", "reserved", null, marked(false, false)),
    ],
  })
  expect(planned.reservations.map(({ id }) => id)).toEqual([2, 3, 4])
  expect(reportedOf(planned.skipped)).toEqual(["ip-ranges.json 1 open"])
})

test("what is occupied and lies in no pool, entirely or in part, is reported as outside, since nothing protects it", () => {
  const planned = plan({
    prefixes: [prefix(1, "10.0.0.0/24")],
    ranges: [range(1, "10.0.0.250/16", "10.0.2.3/16"), range(2, "10.0.2.0/24", "10.0.2.9/24")],
    addresses: [address(1, "10.1.0.5/24"), address(2, "10.1.0.6/24", "dhcp")],
  })
  expect(reservedOf(planned)).toEqual(["default 10.0.0.0/24 10.0.0.250-10.0.0.255"])
  expect(planned.outside.map(({ file, id, message }) => [file, id, message])).toEqual([
    ["ip-ranges.json", 1, "10.0.1.0-10.0.2.3 lies in no pool"],
    ["ip-ranges.json", 2, "it lies in no pool"],
    ["ip-addresses.json", 1, "it lies in no pool"],
    ["ip-addresses.json", 2, "it lies in no pool"],
  ])
})

describe("active addresses", () => {
  const prefixes = [prefix(1, "10.0.0.0/22"), prefix(2, "2001:db8::/64")]

  test("become allocations of the bare address, with the owner that NetBox names", () => {
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
    expect(planned.allocations.map(({ slot }) => slot)).toEqual(["10.0.0.0", "10.0.1.1", "2001:db8::a"])
    expect(new Set(planned.allocations.map(({ requestId }) => requestId))).toEqual(new Set([requestIdOf("netbox")]))
  })

  test("that are duplicates are skipped, in favour of the lowest id and in any order; a reserved one is not a duplicate", () => {
    const addresses = [address(4, "10.0.0.5/24"), address(3, "10.0.0.5/22"), address(5, "10.0.0.5/22", "reserved")]
    const planned = plan({ prefixes, addresses })
    expect(planned.allocations.map(({ id }) => id)).toEqual([3])
    expect(planned.reservations.map(({ id }) => id)).toEqual([5])
    expect(planned.skipped).toMatchObject([
      { index: 0, id: 4, reason: "duplicate", message: "address 3 is the same and holds it" },
    ])
  })

  test("that stand for an IPv4 address or for none are skipped, and the rest is imported", () => {
    const addresses = ["::1/128", "::ffff:10.0.0.1/128", "::10.0.0.1/128", "::ffff:a00:1/128"]
    const planned = plan({
      prefixes: [prefix(1, "::/0", "container"), prefix(2, "::/0")],
      addresses: addresses.map((text, at) => address(at + 1, text)),
    })
    expect(planned.allocations).toEqual([])
    expect(planned.skipped.map(({ reason }) => reason)).toEqual([
      "container",
      ...Array.from({ length: 5 }, () => "unusable"),
    ])
  })
})

describe("VRFs", () => {
  const space = (id: number, name: string, rd: string | null = null) => ({ ...vrf(id, name), rd })
  const namesOf = (vrfs: ReadonlyArray<unknown>, bindings: Parameters<typeof bindNew>[1] = []) =>
    bindNew(inventoryFrom({ vrfs }).spaces, bindings).map(({ id, vrf }) => `${id} ${vrf}`)

  test("keep their names; those with the same name are told apart by route distinguisher, else by id", () => {
    const vrfs = [
      space(1, "twin", "65000:1"),
      space(2, "twin", "65000:2"),
      space(3, "same", "65000:3"),
      space(4, "same", "65000:3"),
      space(5, "bare"),
      space(6, "bare", "65000:6"),
      space(7, "default", "65000:7"),
      space(8, "clear", "65000:8"),
    ]
    const named = [
      "1 twin (65000:1)",
      "2 twin (65000:2)",
      "3 same (vrf 3)",
      "4 same (vrf 4)",
      "5 bare (vrf 5)",
      "6 bare (65000:6)",
      "7 default (65000:7)",
      "8 clear",
    ]
    expect(namesOf(vrfs)).toEqual(named)
    expect(namesOf(vrfs.toReversed())).toEqual(named)
  })

  test("have a shortened name if theirs is too long for the database", () => {
    const long = "v".repeat(200)
    const [one, two] = namesOf([space(1, long, "65000:1"), space(2, long, "65000:2")])
    expect([one, two]).toEqual([`1 ${"v".repeat(120)} (vrf 1)`, `2 ${"v".repeat(120)} (vrf 2)`])
  })

  test("keep the name of their first import when another VRF of that name appears, and when they are renamed", () => {
    const bound = [
      { kind: "vrf", id: "1", vrf: "twin" },
      { kind: "vrf", id: "2", vrf: "old" },
    ]
    const vrfs = [
      space(1, "twin", "65000:1"),
      space(2, "new"),
      space(3, "twin", "65000:3"),
      space(4, "old"),
      space(5, "new"),
    ]
    expect(namesOf(vrfs, bound)).toEqual(["3 twin (65000:3)", "4 old (vrf 4)", "5 new (vrf 5)"])
  })

  test("that the source does not list are reported as unknown for everything in them", () => {
    const planned = plan({
      prefixes: [prefix(1, "10.0.0.0/24", "active", 5)],
      addresses: [address(1, "10.0.0.5/24", "active", 5)],
    })
    expect(reportedOf(planned.skipped)).toEqual(["prefixes.json 1 unknown_vrf"])
    expect(reportedOf(planned.outside)).toEqual(["ip-addresses.json 1 unknown_vrf"])
  })
})

test("a request id is a UUID of version 8, the same for one source and different for two", () => {
  const ids = Array.from({ length: 2000 }, (_, at) => requestIdOf(`source ${at}`))
  expect(ids.filter((id) => !/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))).toEqual(
    [],
  )
  expect(new Set(ids).size).toBe(ids.length)
  // A fixed value: later versions must find the keys of earlier imports under the same request id.
  expect(requestIdOf("netbox")).toBe("80cd7864-63dd-8a68-91f0-b25f332cdb88")
})

test("an address gets the slot of its live key, else the first slot never used", () => {
  const key = (slot: string, released: boolean, vrf = "default") => ({ vrf, slot, released })
  const slotFor = slotChooser([
    key("10.0.0.1", false),
    key("10.0.0.2", true),
    key("10.0.0.3", true),
    key("10.0.0.3#2", true),
    key("10.0.0.3#3", false),
    key("10.0.0.4", true, "blue"),
  ])
  const slots = [1, 2, 3, 4].map((last) => slotFor("default", `10.0.0.${last}`))
  expect(slots).toEqual(["10.0.0.1", "10.0.0.2#2", "10.0.0.3#3", "10.0.0.4"])
})

describe("any plan", () => {
  const text = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.nat({ max: 255 }), fc.integer({ min: 24, max: 32 }))
    .map(
      ([third, last, length]) =>
        `10.0.${third}.${Math.floor(last / 2 ** (32 - length)) * 2 ** (32 - length)}/${length}`,
    )
  const status = fc.constantFrom("active", "active", "reserved", "container", "deprecated")
  const space = fc.constantFrom(null, null, 1, 2, 3)
  const id = fc.integer({ min: 1, max: 30 })
  const exported = fc.record({
    vrfs: fc.constant([vrf(1, "one"), vrf(2, "two")]),
    prefixes: fc.array(
      fc.tuple(id, text, status, space).map((fields) => prefix(...fields)),
      { maxLength: 20 },
    ),
    ranges: fc.array(fc.tuple(id, text, fc.constant("10.0.3.255/16"), status, space).map((fields) => range(...fields))),
    addresses: fc.array(
      fc.tuple(id, text, status, space).map((fields) => address(...fields)),
      { maxLength: 20 },
    ),
  })

  test("accounts for every entry: it becomes something, is skipped, or is reported as outside", () => {
    fc.assert(
      fc.property(exported, (raw) => {
        const planned = plan(raw)
        const accounted = [
          planned.pools,
          planned.reservations,
          planned.allocations,
          planned.skipped,
          planned.outside,
        ].flat()
        const entries = new Set(accounted.map(({ file, index }) => `${file} ${index}`))
        expect(entries.size).toBe(raw.prefixes.length + raw.ranges.length + raw.addresses.length)
      }),
    )
  })

  test("has no overlapping pools in a VRF, and allocates no address twice", () => {
    const spanOf = (pool: string) => Result.getOrThrow(readPrefix(prefix(1, pool))).span
    fc.assert(
      fc.property(exported, (raw) => {
        const planned = plan(raw)
        for (const [index, one] of planned.pools.entries()) {
          for (const other of planned.pools.slice(index + 1).filter(({ vrf }) => vrf === one.vrf)) {
            const [a, b] = [spanOf(one.pool), spanOf(other.pool)]
            expect(a.first > b.last || b.first > a.last).toBe(true)
          }
        }
        const held = heldOf(planned)
        expect(new Set(held).size).toBe(held.length)
      }),
    )
  })

  test("does not depend on the order of the entries", () => {
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
