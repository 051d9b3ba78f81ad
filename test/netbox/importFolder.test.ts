import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { performance } from "node:perf_hooks"
import { beforeAll, describe, expect, test } from "vitest"
import { Allocator } from "../../src/allocator/Allocator.ts"
import { layer } from "../../src/layer.ts"
import { importFolder } from "../../src/netbox/importFolder.ts"
import { requestIdOf } from "../../src/netbox/requestKey.ts"
import { connect, type Ipam } from "../../src/promise.ts"
import { createDatabase, useDatabase, type Session } from "../harness/database.ts"
import { address, filesOf, prefix, range, useFolders, vrf, type RawExport } from "./exports.ts"

const database = useDatabase()
const makeFolder = useFolders()
let ipam: Ipam
let owner: Session

beforeAll(async () => {
  ipam = await connect({ url: database().url("ipam_operator") })
  owner = database().session()
  return () => ipam.close()
})

/** An import as an operator. */
const importFrom = (folder: string, url = database().url("ipam_operator")) =>
  Effect.runPromise(Effect.provide(importFolder(folder), layer({ url })))
const importOf = async (raw: RawExport) => importFrom(await makeFolder(filesOf(raw)))

/** Every row that there is, as text. */
const rows = async (): Promise<ReadonlyArray<unknown>> => {
  const found: Array<unknown> = []
  for (const table of ["vrf", "pool", "range", "reservation", "free_extent", "pool_counter", "allocation"]) {
    found.push(await owner.rows(`select t::text as row from ipam.${table} t order by 1`))
  }
  return found
}

type Report = Awaited<ReturnType<typeof importFrom>>
const idsOf = ({ pools, reservations, allocations }: Report["made"]) =>
  [pools, reservations, allocations].map((all) => all.map(({ id }) => id))

describe("an import", () => {
  const vrfs = [vrf(1, "blue")]
  const raw = {
    vrfs,
    prefixes: [
      prefix(1, "10.1.0.0/24"),
      prefix(2, "10.1.0.0/24", "active", 1),
      prefix(3, "2001:db8:1::/64", "active", 1),
      prefix(4, "10.1.0.64/29", "reserved"),
      prefix(5, "10.1.0.0/16", "container"),
    ],
    ranges: [range(1, "10.1.0.10/24", "10.1.0.19/24")],
    addresses: [
      address(1, "10.1.0.0/24"),
      address(2, "10.1.0.255/24"),
      address(3, "10.1.0.12/24", "active", null, { assigned_object_type: "dcim.interface", assigned_object_id: 5 }),
      address(4, "10.1.0.30/24", "reserved"),
      address(5, "10.1.0.30/24", "active", 1),
      address(6, "2001:db8:1::5/64", "active", 1),
      address(7, "10.2.0.5/24"),
    ],
  }

  test("makes pools, reservations and allocations, once: the second changes nothing at all", async () => {
    const folder = await makeFolder(filesOf(raw))
    const first = await importFrom(folder)
    expect(idsOf(first.made)).toEqual([
      [1, 2, 3],
      [4, 1, 4],
      [1, 2, 3, 5, 6],
    ])
    expect(idsOf(first.existing)).toEqual([[], [], []])
    expect(first.left.map(({ file, id, reason }) => `${file} ${id} ${reason}`)).toEqual([
      "prefixes.json 5 container",
      "ip-addresses.json 7 outside",
    ])

    const { held, reserved } = await ipam.pool("10.1.0.0/24")
    // Network, broadcast and .12 are held; of /29, ten in the range and .30 all but .12 are reserved.
    expect({ held, reserved }).toEqual({ held: 3n, reserved: 18n })
    expect(await ipam.who({ address: "10.1.0.12", vrf: "default" })).toMatchObject({
      state: "confirmed",
      expiresAt: null,
      requestId: requestIdOf(3),
      slot: "default",
      owner: { kind: "dcim.interface", id: "5" },
    })
    expect(await ipam.who({ address: "10.1.0.30" })).toMatchObject({ vrf: "blue", owner: null })

    const before = await rows()
    const second = await importFrom(folder)
    expect(second).toEqual({ made: first.existing, existing: first.made, left: first.left })
    expect(await rows()).toEqual(before)
    expect(await ipam.doctor()).toEqual([])
  })

  test("counts a reservation of what is reserved anyhow as made once, and as there already from then on", async () => {
    const raw = {
      prefixes: [prefix(51, "10.51.0.0/24")],
      ranges: [range(51, "10.51.0.1/24", "10.51.0.9/24"), range(52, "10.51.0.2/24", "10.51.0.8/24")],
      addresses: [address(51, "10.51.0.0/24", "reserved")],
    }
    expect(idsOf((await importOf(raw)).made)).toEqual([[51], [51, 52, 51], []])
    expect(idsOf((await importOf(raw)).existing)).toEqual([[51], [51, 52, 51], []])
    const more = { ...raw, addresses: [...raw.addresses, address(52, "10.51.0.99/24", "reserved")] }
    expect(idsOf((await importOf(more)).made)).toEqual([[], [52], []])
  })

  test("that broke off half-way is completed by the next one", async () => {
    const later = {
      prefixes: [prefix(11, "10.11.0.0/24"), prefix(12, "10.12.0.0/24")],
      ranges: [range(11, "10.11.0.10/24", "10.11.0.19/24"), range(12, "10.11.0.20/24", "10.11.0.29/24")],
      addresses: [11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map((id) => address(id, `10.11.0.${id + 30}/24`)),
    }
    // The third allocate never answers: the import is interrupted there, as by Ctrl-C.
    let calls = 0
    const breakingOff = Layer.effect(
      Allocator,
      Effect.map(Allocator, (allocator) => ({
        ...allocator,
        allocate: (request: Parameters<typeof allocator.allocate>[0]) =>
          Effect.suspend(() => {
            calls += 1
            return calls === 3 ? Effect.interrupt : allocator.allocate(request)
          }),
      })),
    ).pipe(Layer.provideMerge(layer({ url: database().url("ipam_operator") })))
    const folder = await makeFolder(filesOf(later))
    await expect(Effect.runPromise(Effect.provide(importFolder(folder), breakingOff))).rejects.toThrow(/interrupt/i)

    const rest = await importFrom(folder)
    const [made, existing] = [idsOf(rest.made), idsOf(rest.existing)]
    expect(existing.slice(0, 2)).toEqual([
      [11, 12],
      [11, 12],
    ])
    expect([...(made[2] ?? []), ...(existing[2] ?? [])].toSorted((a, b) => a - b)).toEqual([
      11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ])
    expect(made[2]?.length).toBeGreaterThan(0)
    expect((await ipam.pool("10.11.0.0/24")).held).toBe(10n)
    expect(await ipam.doctor()).toEqual([])
  })

  test("that runs twice at once makes each pool and each allocation once", async () => {
    const prefixes = Array.from({ length: 8 }, (_, at) => prefix(60 + at, `10.60.${at}.0/24`))
    const addresses = Array.from({ length: 40 }, (_, at) => address(60 + at, `10.60.${at % 8}.${at + 1}/24`))
    const folder = await makeFolder(filesOf({ prefixes, addresses }))
    const [one, other] = await Promise.all([importFrom(folder), importFrom(folder)])
    for (const kind of ["pools", "allocations"] as const) {
      const made = [...one.made[kind], ...other.made[kind]].map(({ id }) => id)
      const existing = [...one.existing[kind], ...other.existing[kind]].map(({ id }) => id)
      expect(new Set(made).size).toBe(made.length)
      expect(new Set(existing)).toEqual(new Set(made))
    }
    expect([...one.left, ...other.left]).toEqual([])
    expect(await ipam.doctor()).toEqual([])
  })

  test("that is malformed anywhere writes nothing", async () => {
    const before = await rows()
    const bad = { prefixes: [prefix(21, "10.21.0.0/24")], addresses: [address(21, "10.21.0.5/24"), { id: 22 }] }
    await expect(importOf(bad)).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: expect.stringContaining("ip-addresses.json[1]."),
    })
    expect(await rows()).toEqual(before)
  })
})

describe("what the database has otherwise is left, with its outcome", () => {
  test("a pool in the way, or of another definition", async () => {
    await ipam.createPool({ name: "mine", ranges: ["10.31.0.0/25"] })
    await ipam.createPool({ name: "10.32.0.0/24", ranges: ["10.32.0.0/24"], gateway: "first" })
    const report = await importOf({
      prefixes: [prefix(31, "10.31.0.0/24"), prefix(32, "10.32.0.0/24"), prefix(33, "10.33.0.0/24", "container")],
      ranges: [range(31, "10.31.0.10/24", "10.31.0.19/24"), range(32, "10.32.0.10/24", "10.32.0.19/24")],
      addresses: [address(31, "10.31.0.5/24"), address(32, "10.32.0.5/24")],
    })
    expect(report.left.map(({ file, id, reason }) => `${file} ${id} ${reason}`)).toEqual([
      "prefixes.json 31 range_overlaps",
      "prefixes.json 32 pool_exists",
      "prefixes.json 33 container",
      "ip-ranges.json 31 unknown_pool",
      "ip-addresses.json 31 unknown_pool",
    ])
    expect(idsOf(report.made)).toEqual([[], [32], [32]])
  })

  test("an address that somebody holds, and one whose import was released or has changed in NetBox", async () => {
    const prefixes = [prefix(41, "10.41.0.0/24")]
    await importOf({ prefixes, addresses: [address(41, "10.41.0.41/24"), address(42, "10.41.0.42/24")] })
    await ipam.release({ requestId: requestIdOf(41) })
    await ipam.allocate({ pool: "10.41.0.0/24", requestId: crypto.randomUUID(), address: "10.41.0.43" })
    const report = await importOf({
      prefixes,
      addresses: [address(41, "10.41.0.41/24"), address(42, "10.41.0.50/24"), address(43, "10.41.0.43/24")],
    })
    expect(report.left.map(({ id, what, reason }) => [id, what, reason])).toEqual([
      [41, "10.41.0.41", "key_released"],
      [42, "10.41.0.50", "key_reused"],
      [43, "10.41.0.43", "address_taken"],
    ])
    expect(report.left.every(({ message }) => message.length > 10)).toBe(true)
    expect(idsOf(report.made)).toEqual([[], [], []])
    expect(idsOf(report.existing)).toEqual([[41], [], []])
  })
})

const real = process.env["SAGA_IPAM_NETBOX_DIR"] || undefined

test.skipIf(real === undefined)(
  "the exports in SAGA_IPAM_NETBOX_DIR are imported, and a second time change nothing (left out unless it is set)",
  async () => {
    const own = await createDatabase()
    try {
      const start = performance.now()
      const first = await importFrom(real ?? "", own.url("ipam_operator"))
      const seconds = (performance.now() - start) / 1000
      const made = idsOf(first.made).map((ids) => ids.length)
      const left = Object.fromEntries(
        [...Map.groupBy(first.left, ({ reason }) => reason)].map(([reason, all]) => [reason, all.length]),
      )
      console.log(`${made.join(" pools, reservations, allocations ")} in ${seconds.toFixed(1)} s; left`, left)
      expect(made[0]).toBeGreaterThan(0)
      const second = await importFrom(real ?? "", own.url("ipam_operator"))
      expect(idsOf(second.made)).toEqual([[], [], []])
      expect(second.left).toEqual(first.left)
      const look = await connect({ url: own.url("ipam_operator") })
      expect(await look.doctor()).toEqual([])
      const held = (await look.pools()).reduce((sum, pool) => sum + pool.held, 0n)
      expect(held).toBe(BigInt(first.made.allocations.length))
      await look.close()
    } finally {
      await own.drop()
    }
  },
)
