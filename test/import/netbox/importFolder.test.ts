import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { performance } from "node:perf_hooks"
import { beforeAll, beforeEach, describe, expect, test } from "vitest"
import { Allocator } from "../../../src/services/Allocator.ts"
import { Pools } from "../../../src/services/Pools.ts"
import { Database } from "../../../src/database/Database.ts"
import { layer } from "../../../src/layer.ts"
import { importFolder } from "../../../src/import/netbox/importFolder.ts"
import type { ImportOptions } from "../../../src/import/importInventory.ts"
import { requestIdOf } from "../../../src/import/requestKeys.ts"
import { connect, type Ipam } from "../../../src/promise.ts"
import { createDatabase, useDatabase, type Session } from "../../harness/database.ts"
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

type Options = Omit<ImportOptions, "source"> & { readonly source?: string }

/** Each test has its own source, so that what other tests imported does not count as missing from it. */
let source = ""
let sources = 0
beforeEach(() => {
  source = `netbox ${++sources}`
})

/** Imports a folder, in the role of an operator. */
const importFrom = (folder: string, options: Options = {}, url = database().url("ipam_operator")) =>
  Effect.runPromise(Effect.provide(importFolder(folder, { source, ...options }), layer({ url })))
const importOf = async (raw: RawExport, options: Options = {}) => importFrom(await makeFolder(filesOf(raw)), options)

/** Allocates addresses of the pool until it is exhausted, and returns them. */
const handedOut = async (pool: string, vrf?: string): Promise<ReadonlyArray<string>> => {
  const given: Array<string> = []
  for (;;) {
    const one = await ipam.allocate({ pool, vrf, requestId: crypto.randomUUID() }).catch((error: unknown) => error)
    if (error(one) === "PoolExhausted") return given
    given.push((one as { readonly address: string }).address)
  }
}
const error = (value: unknown): unknown => (value as { readonly _tag?: unknown })._tag

/** The content of every table that an import may write, as text. */
const allRows = async (): Promise<ReadonlyArray<unknown>> => {
  const content: Array<unknown> = []
  for (const table of [
    "vrf",
    "pool",
    "range",
    "reservation",
    "free_extent",
    "pool_counter",
    "allocation",
    "import_binding",
  ]) {
    content.push(await owner.rows(`select t::text as row from ipam.${table} t order by 1`))
  }
  return content
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

  test("makes pools, reservations and allocations; a second import of the same changes nothing", async () => {
    const folder = await makeFolder(filesOf(raw))
    const first = await importFrom(folder)
    expect(idsOf(first.made)).toEqual([
      [1, 2, 3],
      [4, 1, 4],
      [1, 2, 3, 5, 6],
    ])
    expect(idsOf(first.existing)).toEqual([[], [], []])
    expect(first.left.map(({ file, id, reason }) => `${file} ${id} ${reason}`)).toEqual(["prefixes.json 5 container"])
    expect(first.unprotected.map(({ file, id, reason }) => `${file} ${id} ${reason}`)).toEqual([
      "ip-addresses.json 7 outside",
    ])
    expect(first.complete).toBe(false)

    const { held, reserved } = await ipam.getPool({ pool: "10.1.0.0/24" })
    // Network, broadcast and .12 are held; of /29, ten in the range and .30 all but .12 are reserved.
    expect({ held, reserved }).toEqual({ held: 3n, reserved: 18n })
    expect(await ipam.who({ address: "10.1.0.12", vrf: "default" })).toMatchObject({
      state: "confirmed",
      expiresAt: null,
      requestId: requestIdOf(source),
      slot: "10.1.0.12",
      owner: { kind: "dcim.interface", id: "5" },
    })
    expect(await ipam.who({ address: "10.1.0.30" })).toMatchObject({ vrf: "blue", owner: null })

    const before = await allRows()
    const second = await importFrom(folder)
    expect(second).toEqual({ ...first, made: first.existing, existing: first.made })
    expect(await allRows()).toEqual(before)
    expect(await ipam.doctor()).toEqual([])
  })

  test("reports a reservation of addresses reserved otherwise as made the first time, and as existing from then on", async () => {
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

  test("that was interrupted half-way is completed by the next one", async () => {
    const later = {
      prefixes: [prefix(11, "10.11.0.0/24"), prefix(12, "10.12.0.0/24")],
      ranges: [range(11, "10.11.0.10/24", "10.11.0.19/24"), range(12, "10.11.0.20/24", "10.11.0.29/24")],
      addresses: [11, 12, 13, 14, 15, 16, 17, 18, 19, 20].map((id) => address(id, `10.11.0.${id + 30}/24`)),
    }
    // The import is interrupted at the call that would allocate the addresses, as by Ctrl-C.
    let calls = 0
    const interrupting = Layer.effect(
      Database,
      Effect.map(Database, (inner) => ({
        ...inner,
        query: (...[statement, ...rest]: Parameters<typeof inner.query>) =>
          Effect.suspend(() => {
            if (statement.text.includes("ipam.import_")) calls += 1
            return calls === 3 ? Effect.interrupt : inner.query(statement, ...rest)
          }),
      })),
    ).pipe(Layer.provide(Database.layer(database().options("ipam_operator"))))
    const services = Layer.mergeAll(Allocator.layer, Pools.layer).pipe(Layer.provideMerge(interrupting))
    const folder = await makeFolder(filesOf(later))
    const interrupted = Effect.provide(importFolder(folder, { source }), services)
    await expect(Effect.runPromise(interrupted)).rejects.toThrow(/interrupt/i)
    // Until the import is complete, nobody can allocate from the pool by its final name.
    await expect(ipam.allocate({ pool: "10.11.0.0/24", requestId: crypto.randomUUID() })).rejects.toMatchObject({
      _tag: "UnknownPool",
    })

    const rest = await importFrom(folder)
    const [made, existing] = [idsOf(rest.made), idsOf(rest.existing)]
    expect(made[0]).toEqual([11, 12])
    expect([...(made[1] ?? []), ...(existing[1] ?? [])].toSorted((a, b) => Number(a) - Number(b))).toEqual([11, 12])
    expect([...(made[2] ?? []), ...(existing[2] ?? [])].toSorted((a, b) => Number(a) - Number(b))).toEqual([
      11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ])
    expect(rest.complete).toBe(true)
    expect((await ipam.getPool({ pool: "10.11.0.0/24" })).held).toBe(10n)
    expect(await ipam.doctor()).toEqual([])
  })

  test("that runs twice at the same time makes each pool and each allocation once", async () => {
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
    expect([...one.left, ...other.left, ...one.unprotected, ...other.unprotected]).toEqual([])
    expect(await ipam.doctor()).toEqual([])
  })

  test("with a malformed entry writes nothing", async () => {
    const before = await allRows()
    const bad = { prefixes: [prefix(21, "10.21.0.0/24")], addresses: [address(21, "10.21.0.5/24"), { id: 22 }] }
    await expect(importOf(bad)).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: expect.stringContaining("ip-addresses.json[1]."),
    })
    expect(await allRows()).toEqual(before)
  })
})

describe("whatever the source calls occupied is never handed out", () => {
  test("addresses and ranges of any status are reserved, with the reason; the rest of the pool is handed out", async () => {
    const report = await importOf({
      prefixes: [prefix(71, "10.71.0.0/28"), prefix(72, "10.71.0.8/31", "deprecated")],
      ranges: [range(71, "10.71.0.10/28", "10.71.0.12/28", "active")],
      addresses: [
        address(71, "10.71.0.1/28", "dhcp"),
        address(72, "10.71.0.2/28", "slaac"),
        address(73, "10.71.0.3/28", "deprecated"),
        address(74, "10.71.0.4/28"),
        address(75, "10.71.0.5/28", "quarantine"),
      ],
    })
    expect(report).toMatchObject({ complete: true, unprotected: [], left: [] })
    expect(await handedOut("10.71.0.0/28")).toEqual(["10.71.0.6", "10.71.0.7", "10.71.0.13", "10.71.0.14"])
    const reasons = await owner.rows(
      "select s.reason from ipam.reservation s where s.kind = 'requested' and s.first <<= '10.71.0.0/28' order by s.first",
    )
    expect(reasons.map(({ reason }) => reason)).toEqual([
      `import ${source}: address 71 is dhcp`,
      `import ${source}: address 72 is slaac`,
      `import ${source}: address 73 is deprecated`,
      `import ${source}: address 75 is quarantine`,
      `import ${source}: prefix 72 is deprecated`,
      `import ${source}: range 71 is active`,
    ])
  })

  test("also in pools made by hand with another name and several ranges, and after changes since the last import", async () => {
    await ipam.createPool({ name: "mine", ranges: ["10.31.0.0/29", "10.31.0.8-10.31.0.11"] })
    const prefixes = [prefix(31, "10.31.0.0/29")]
    const first = await importOf({ prefixes, addresses: [address(31, "10.31.0.1/24")] })
    expect(first).toMatchObject({ complete: true, existing: { pools: [{ id: 31, pool: "mine" }] } })
    const more = {
      prefixes,
      ranges: [range(31, "10.31.0.8/24", "10.31.0.9/24", "active")],
      addresses: [address(31, "10.31.0.1/24"), address(32, "10.31.0.2/24"), address(33, "10.31.0.3/24", "dhcp")],
    }
    const second = await importOf(more)
    expect(second.complete).toBe(true)
    expect(idsOf(second.made)).toEqual([[], [31, 33], [32]])
    expect(await handedOut("mine")).toEqual(["10.31.0.4", "10.31.0.5", "10.31.0.6", "10.31.0.10", "10.31.0.11"])
    expect(await ipam.doctor()).toEqual([])
  })

  test("also if somebody else holds it: it is reserved for when they release it, and the report names the holder", async () => {
    await importOf({ prefixes: [prefix(41, "10.41.0.0/30")] })
    const key = { requestId: crypto.randomUUID() }
    await ipam.allocate({ pool: "10.41.0.0/30", ...key, address: "10.41.0.1", owner: { kind: "vm", id: "7" } })
    const report = await importOf({ prefixes: [prefix(41, "10.41.0.0/30")], addresses: [address(41, "10.41.0.1/30")] })
    expect(report).toMatchObject({ complete: true, made: { reservations: [{ range: "10.41.0.1" }] } })
    expect(report.taken).toMatchObject([
      { id: 41, address: "10.41.0.1", owner: null, heldFor: { kind: "vm", id: "7" } },
    ])
    await ipam.release(key)
    expect(await handedOut("10.41.0.0/30")).toEqual(["10.41.0.2"])
    // Now the import can allocate it, and lifts the reservation.
    const again = await importOf({ prefixes: [prefix(41, "10.41.0.0/30")], addresses: [address(41, "10.41.0.1/30")] })
    expect(again).toMatchObject({ complete: true, taken: [], missing: [], made: { allocations: [{ id: 41 }] } })
    expect((await ipam.getPool({ pool: "10.41.0.0/30" })).held).toBe(2n)
    expect((await ipam.listReservations({ pool: "10.41.0.0/30" })).filter(({ kind }) => kind === "requested")).toEqual(
      [],
    )
    expect(await ipam.doctor()).toEqual([])
  })

  test("what lies in no pool makes the report incomplete, and is listed as outside", async () => {
    await ipam.createPool({ name: "half", ranges: ["10.32.0.0/25"] })
    const report = await importOf({
      prefixes: [prefix(32, "10.32.0.0/24"), prefix(33, "10.32.0.128/26")],
      addresses: [address(35, "10.32.0.5/24"), address(36, "10.32.0.250/24"), address(37, "10.32.0.129/24")],
    })
    expect(report.left.map(({ id, reason, message }) => [id, reason, message])).toEqual([
      [32, "range_overlaps", "only part of it is in a pool: half"],
    ])
    expect(report.complete).toBe(false)
    expect(report.unprotected.map(({ id, reason }) => [id, reason])).toEqual([[36, "outside"]])
    expect(idsOf(report.made)).toEqual([[33], [], [35, 37]])
  })

  test("an address in flight in another transaction is waited for", async () => {
    const prefixes = [prefix(45, "10.45.0.0/30")]
    await importOf({ prefixes })
    const other = database().session()
    await other.run("begin")
    const allocate = "select * from ipam.allocate('default', '10.45.0.0/30', gen_random_uuid(), address => '10.45.0.1')"
    await other.rows(allocate)
    const folder = await makeFolder(
      filesOf({ prefixes, addresses: [address(45, "10.45.0.1/30"), address(46, "10.45.0.2/30")] }),
    )
    const importing = importFrom(folder)
    // The second address is allocated while the import still waits for the transaction that has the first.
    await owner.until("select true as held from ipam.allocation where unit = '10.45.0.2' and released_at is null")
    await other.run("rollback")
    expect(await importing).toMatchObject({ complete: true, made: { allocations: [{ id: 45 }, { id: 46 }] } })
    await other.end()
  })

  test("what somebody releases while an import runs is found by its final query, whatever the calls before answered", async () => {
    const raw = {
      prefixes: [prefix(47, "10.47.0.0/29")],
      addresses: [address(47, "10.47.0.1/29"), address(48, "10.47.0.2/29", "dhcp")],
    }
    // Just before the import's final query, somebody lifts the reservation and releases the key that it has just made.
    const releasing = Layer.effect(
      Database,
      Effect.map(Database, (inner) => ({
        ...inner,
        query: (...[statement, ...rest]: Parameters<typeof inner.query>) =>
          statement.text.includes("ipam.unprotected")
            ? Effect.promise(async () => {
                await ipam.unreserve({ pool: "10.47.0.0/29", range: "10.47.0.2" })
                await ipam.release({ requestId: requestIdOf(source), slot: "10.47.0.1" })
              }).pipe(Effect.andThen(inner.query(statement, ...rest)))
            : inner.query(statement, ...rest),
      })),
    ).pipe(Layer.provide(Database.layer(database().options("ipam_operator"))))
    const services = Layer.mergeAll(Allocator.layer, Pools.layer).pipe(Layer.provideMerge(releasing))
    const folder = await makeFolder(filesOf(raw))
    const report = await Effect.runPromise(Effect.provide(importFolder(folder, { source }), services))
    expect(report.complete).toBe(false)
    expect(report.unprotected.map(({ id, reason }) => [id, reason])).toEqual([
      [47, "free"],
      [48, "free"],
    ])
    expect(await importFrom(folder)).toMatchObject({ complete: true, unprotected: [] })
  })
})

describe("a later import reconciles", () => {
  const prefixes = [prefix(81, "10.81.0.0/28"), prefix(82, "10.81.0.0/28", "active", 1)]
  const vrfs = [vrf(1, "red")]
  const eth = (id: number) => ({ assigned_object_type: "dcim.interface", assigned_object_id: id })
  const before = {
    vrfs,
    prefixes,
    ranges: [range(81, "10.81.0.8/28", "10.81.0.10/28")],
    addresses: [
      address(81, "10.81.0.1/28", "active", null, eth(1)),
      address(82, "10.81.0.2/28", "active", null, eth(2)),
      address(83, "10.81.0.3/28", "dhcp"),
      address(84, "10.81.0.4/28", "active", null, eth(4)),
      address(85, "10.81.0.5/28", "active"),
    ],
  }
  /** Address 81 has another owner, 82 another address, 83 another status, 84 another VRF; 85 is gone, 86 is new; the range is shorter. */
  const after = {
    vrfs,
    prefixes,
    ranges: [range(81, "10.81.0.8/28", "10.81.0.9/28")],
    addresses: [
      address(81, "10.81.0.1/28", "active", null, eth(9)),
      address(82, "10.81.0.12/28", "active", null, eth(2)),
      address(83, "10.81.0.3/28", "active", null, eth(3)),
      address(84, "10.81.0.4/28", "active", 1, eth(4)),
      address(86, "10.81.0.6/28"),
    ],
  }
  const stateOf = async (vrf?: string) => {
    const { held, reserved } = await ipam.getPool({ pool: "10.81.0.0/28", vrf })
    return { held, reserved }
  }
  const gone = (report: Report) => report.missing.map(({ kind, range, released }) => [kind, range, released])

  test("a dry run reports everything and changes nothing; the import does it, and releases what is gone only when told to", async () => {
    await importOf(before)
    expect(await stateOf()).toEqual({ held: 4n, reserved: 6n })
    const old = await allRows()

    const dry = await importOf(after, { dryRun: true, releaseMissing: true })
    expect(await allRows()).toEqual(old)
    const kept = await importOf(after)
    expect(dry).toEqual({ ...kept, dryRun: true })
    expect(kept.complete).toBe(true)
    expect(idsOf(kept.made)).toEqual([[], [81], [82, 83, 84, 86]])
    expect(kept.moved.map(({ id, owner, heldFor }) => [id, owner?.id, heldFor?.id])).toEqual([[81, "9", "1"]])
    expect(gone(kept)).toEqual([
      ["allocation", "10.81.0.2", false],
      ["allocation", "10.81.0.4", false],
      ["allocation", "10.81.0.5", false],
      ["reservation", "10.81.0.8-10.81.0.10", false],
    ])
    // .1 .2 .3 .4 .5 .6 .12 are held; network, broadcast and .8 to .10 reserved.
    expect(await stateOf()).toEqual({ held: 7n, reserved: 5n })
    expect(await stateOf("red")).toEqual({ held: 1n, reserved: 2n })
    expect(await ipam.who({ address: "10.81.0.3", vrf: "default" })).toMatchObject({ owner: { id: "3" } })

    const released = await importOf(after, { releaseMissing: true })
    expect(gone(released)).toEqual(gone(kept).map(([kind, range]) => [kind, range, true]))
    expect(await stateOf()).toEqual({ held: 4n, reserved: 4n })
    expect(await importOf(after, { releaseMissing: true })).toMatchObject({ missing: [], complete: true })
    expect(await ipam.doctor()).toEqual([])
  })

  test("a reservation of an import has the current reason, and one that a person made keeps theirs", async () => {
    const raw = {
      prefixes: [prefix(93, "10.93.0.0/28")],
      addresses: [address(93, "10.93.0.5/28", "dhcp"), address(94, "10.93.0.6/28", "dhcp")],
    }
    await importOf({ prefixes: raw.prefixes })
    await ipam.reserve({ pool: "10.93.0.0/28", range: "10.93.0.6", reason: "by hand" })
    await importOf(raw)
    await importOf({
      ...raw,
      addresses: [address(95, "10.93.0.5/28", "deprecated"), address(94, "10.93.0.6/28", "dhcp")],
    })
    const reservations = await ipam.listReservations({ pool: "10.93.0.0/28" })
    expect(reservations.filter(({ kind }) => kind === "requested")).toMatchObject([
      { first: "10.93.0.5", reason: `import ${source}: address 95 is deprecated` },
      { first: "10.93.0.6", reason: "by hand" },
    ])
  })

  test("an address that was released and is in use again is allocated again, under a new key", async () => {
    const raw = {
      prefixes: [prefix(91, "10.91.0.0/29")],
      addresses: [address(91, "10.91.0.1/29", "active", null, eth(1))],
    }
    await importOf(raw)
    await importOf({ ...raw, addresses: [] }, { releaseMissing: true })
    const again = await importOf({ ...raw, addresses: [address(92, "10.91.0.1/29", "active", null, eth(5))] })
    expect(again.made.allocations).toMatchObject([{ id: 92, slot: "10.91.0.1#2" }])
    expect(await ipam.who({ address: "10.91.0.1" })).toMatchObject({ slot: "10.91.0.1#2", owner: { id: "5" } })
    expect(await importOf({ ...raw, addresses: [address(92, "10.91.0.1/29", "active", null, eth(5))] })).toMatchObject({
      existing: { allocations: [{ id: 92 }] },
      missing: [],
    })
  })

  test("it lifts nobody else's reservation, and does not touch what another source imported", async () => {
    const raw = {
      prefixes: [prefix(95, "10.95.0.0/28")],
      addresses: [address(95, "10.95.0.5/28", "dhcp"), address(96, "10.95.0.6/28")],
    }
    await importOf(raw, { source: "lab" })
    await ipam.reserve({ pool: "10.95.0.0/28", range: "10.95.0.4-10.95.0.6", reason: "by hand" })
    expect((await importOf({ prefixes: raw.prefixes }, { source: "office" })).missing).toEqual([])
    const report = await importOf({ prefixes: raw.prefixes }, { source: "lab", releaseMissing: true })
    expect(gone(report)).toEqual([
      ["allocation", "10.95.0.6", true],
      ["reservation", "10.95.0.5", true],
    ])
    const left = await ipam.listReservations({ pool: "10.95.0.0/28" })
    expect(left.filter(({ kind }) => kind === "requested")).toMatchObject([{ first: "10.95.0.4", reason: "by hand" }])
    expect((await ipam.getPool({ pool: "10.95.0.0/28" })).reserved).toBe(5n)
  })

  test("a VRF keeps the name of its first import when another of that name appears, and when it is renamed", async () => {
    const p = (id: number, space: number) => prefix(id, "10.97.0.0/29", "active", space)
    const space = (id: number, name: string) => ({ ...vrf(id, name), rd: `65000:${id}` })
    await importOf({
      vrfs: [space(21, "twin")],
      prefixes: [p(97, 21)],
      addresses: [address(97, "10.97.0.1/29", "active", 21)],
    })
    const later = {
      vrfs: [space(9, "twin"), space(21, "twin"), space(22, "twin")],
      prefixes: [p(97, 21), p(98, 9), p(99, 22)],
      addresses: [address(97, "10.97.0.1/29", "active", 21), address(98, "10.97.0.1/29", "active", 9)],
    }
    const report = await importOf(later)
    expect(report).toMatchObject({
      complete: true,
      left: [],
      missing: [],
      existing: { allocations: [{ id: 97, vrf: "twin" }] },
    })
    expect(report.made.pools.map(({ id, vrf }) => [id, vrf])).toEqual([
      [98, "twin (65000:9)"],
      [99, "twin (65000:22)"],
    ])
    const renamed = await importOf({ ...later, vrfs: [space(9, "a"), space(21, "b"), space(22, "c")] })
    expect(renamed.existing.pools.map(({ vrf }) => vrf)).toEqual(["twin", "twin (65000:9)", "twin (65000:22)"])
    expect(renamed.made.pools).toEqual([])
  })
})

const real = process.env["SAGA_IPAM_NETBOX_DIR"] || undefined

test("the exports in SAGA_IPAM_NETBOX_DIR are imported, and a second import changes nothing", async ({ skip }) => {
  skip(real === undefined, "SAGA_IPAM_NETBOX_DIR is not set")
  const own = await createDatabase()
  try {
    const start = performance.now()
    const first = await importFrom(real ?? "", {}, own.url("ipam_operator"))
    const seconds = (performance.now() - start) / 1000
    const made = idsOf(first.made).map((ids) => ids.length)
    const skipped = Object.fromEntries(
      [...Map.groupBy(first.left, ({ reason }) => reason)].map(([reason, all]) => [reason, all.length]),
    )
    console.log(`${made.join(" pools, reservations, allocations ")} in ${seconds.toFixed(1)} s; skipped`, skipped)
    expect(made[0]).toBeGreaterThan(0)
    const second = await importFrom(real ?? "", {}, own.url("ipam_operator"))
    expect(idsOf(second.made)).toEqual([[], [], []])
    expect(second).toEqual({ ...first, made: second.made, existing: second.existing })
    expect(first.complete).toBe(true)
    const imported = await connect({ url: own.url("ipam_operator") })
    expect(await imported.doctor()).toEqual([])
    const held = (await imported.listPools()).reduce((sum, pool) => sum + pool.held, 0n)
    expect(held).toBe(BigInt(first.made.allocations.length))
    await imported.close()
  } finally {
    await own.drop()
  }
})
