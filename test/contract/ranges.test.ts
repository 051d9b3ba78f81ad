/** What changes of ranges, reservations and pools leave behind: parts of ranges, draining, cooldowns that outlive all of them. */
import { randomUUID } from "node:crypto"
import { beforeEach, describe, expect, test } from "vitest"
import { allocate, counts, createPool, release, type Request } from "../harness/calls.ts"
import { first as session, number, owner, pool } from "../harness/fixture.ts"

const net = (rest: string) => `10.${number}.${rest}`
const take = async (request: Omit<Request, "pool" | "requestId"> = {}) => {
  const requestId = randomUUID()
  return { ...(await allocate(session, { pool, requestId, ...request })), requestId }
}
const change = async (call: string, ...parameters: ReadonlyArray<string>) => {
  const [row] = await owner.rows(
    `select outcome, ranges, detail, revision::int, state, draining::int from ipam.${call}`,
    [pool, ...parameters],
  )
  return row
}
const removeRange = (range: string) => change("remove_range('default', $1, $2)", range)
const addRange = (range: string) => change("add_range('default', $1, $2)", range)
const reserve = (range: string, reason: string | null = null) =>
  owner.rows("select outcome from ipam.reserve('default', $1, $2, $3)", [pool, range, reason])
const unreserve = (range: string) => change("unreserve('default', $1, $2)", range)
const reservations = async () =>
  (
    await owner.rows(
      "select host(first) as first, host(last) as last, kind, reason from ipam.list_reservations('default', $1) where outcome = 'found'",
      [pool],
    )
  ).map(({ first, last, kind, reason }) => [first, last, kind, reason])

describe("a part of a range", () => {
  beforeEach(() =>
    owner.rows("select ipam.create_pool('default', $1, array[$2], '{}', 'first')", [pool, net("4.0/24")]),
  )

  test.each([
    ["the upper half", "4.128/25", [["4.0", "4.127"]]],
    ["the lower half", "4.0/25", [["4.128", "4.255"]]],
    [
      "the middle",
      "4.64/26",
      [
        ["4.0", "4.63"],
        ["4.128", "4.255"],
      ],
    ],
    ["all of it", "4.0/24", []],
  ])("%s is removed, and what is left keeps its network and its gateway", async (_, part, left) => {
    expect(await removeRange(net(part))).toMatchObject({
      outcome: "removed",
      ranges: left.map(([first, last]) => ({
        first: net(first ?? ""),
        last: net(last ?? ""),
        prefixLength: 24,
        gateway: net("4.1"),
      })),
    })
    const sizes = left.map(([first, last]) => Number(last?.split(".")[1]) - Number(first?.split(".")[1]) + 1)
    expect(await counts(owner, pool)).toMatchObject({ size: sizes.reduce((sum, size) => sum + size, 0) })
    if (left.length > 0) expect((await take()).outcome).toBe("allocated")
    expect(await addRange(net(part))).toMatchObject({ outcome: "added" })
    expect(await counts(owner, pool)).toMatchObject({ size: 256 })
  })

  test("is refused while something in it is held, with the first of them, and nothing changes", async () => {
    const held = await take({ address: net("4.130"), owner: "i-1" })
    await take({ address: net("4.10") })
    expect(await removeRange(net("4.128/25"))).toMatchObject({
      outcome: "range_in_use",
      revision: 1,
      detail: {
        held: "1",
        holders: [{ address: net("4.130"), requestId: held.requestId, owner: { kind: "instance", id: "i-1" } }],
      },
    })
    expect(await removeRange(net("4.0-10.200.0.0").replace("10.200.0.0", net("9.0")))).toMatchObject({
      outcome: "not_found",
    })
  })

  test("what is held above the part goes on, and comes back to its range", async () => {
    const held = await take({ address: net("4.200") })
    expect(await removeRange(net("4.64/26"))).toMatchObject({ outcome: "removed" })
    expect(await allocate(session, { pool, requestId: held.requestId, address: net("4.200") })).toMatchObject({
      outcome: "replayed",
      address: net("4.200"),
      generation: held.generation,
    })
    await release(session, held.requestId)
    expect(await counts(owner, pool)).toMatchObject({ size: 192, held: 0, reserved: 3 })
  })

  test("takes its part of a reservation with it", async () => {
    await reserve(net("4.60-10.0.0.0").replace("10.0.0.0", net("4.70")), "printers")
    await removeRange(net("4.64/26"))
    expect(await reservations()).toEqual([
      [net("4.0"), net("4.0"), "network", null],
      [net("4.1"), net("4.1"), "gateway", null],
      [net("4.60"), net("4.63"), "requested", "printers"],
      [net("4.255"), net("4.255"), "network", null],
    ])
  })
})

describe("a cooldown lasts", () => {
  let cooling: string
  beforeEach(async () => {
    await createPool(owner, pool, `${net("0.0")}-${net("0.9")}`, { cooldownSeconds: 3600 })
    const held = await take({ address: net("0.5"), owner: "vm-1" })
    await release(session, held.requestId)
    cooling = held.generation ?? ""
  })
  const expectCooling = async () => {
    expect(await take({ address: net("0.5") })).toMatchObject({ outcome: "address_cooling" })
    expect(await counts(owner, pool)).toMatchObject({ cooling: 1, size: 10 })
    const again = await take({ address: net("0.5"), owner: "vm-1" })
    expect(again).toMatchObject({ outcome: "allocated" })
    expect(Number(again.generation)).toBeGreaterThan(Number(cooling))
  }
  const whole = () => `${net("0.0")}-${net("0.9")}`

  test("over a reservation and its end", async () => {
    await reserve(net("0.5"))
    expect(await take({ address: net("0.5"), allowReserved: true })).toMatchObject({ outcome: "address_cooling" })
    expect(await unreserve(net("0.5"))).toMatchObject({ outcome: "unreserved" })
    await expectCooling()
  })

  test("over the removal of its range and its return", async () => {
    await removeRange(whole())
    await addRange(whole())
    await expectCooling()
  })

  test("over the removal of a part and its return", async () => {
    await removeRange(`${net("0.5")}-${net("0.6")}`)
    await addRange(`${net("0.5")}-${net("0.6")}`)
    await expectCooling()
  })

  test("over a part that comes back in two pieces", async () => {
    await removeRange(`${net("0.4")}-${net("0.6")}`)
    await addRange(net("0.4"))
    await addRange(`${net("0.5")}-${net("0.6")}`)
    await expectCooling()
  })

  test("over its pool, into the next one that has the address", async () => {
    await owner.rows("select ipam.delete_pool('default', $1)", [pool])
    await createPool(owner, pool, whole(), { cooldownSeconds: 0 })
    await expectCooling()
  })

  test("over a reservation in whose time its range went and came", async () => {
    await reserve(net("0.5"))
    await removeRange(whole())
    await addRange(whole())
    await expectCooling()
  })

  test("over a drain, and over a shorter cooldown of its pool", async () => {
    await change("set_draining('default', $1, true)")
    await change("set_draining('default', $1, false)")
    await owner.rows("select ipam.update_pool('default', $1, cooldown_seconds => 0)", [pool])
    await expectCooling()
  })
})

test("what is released under a reservation cools on when that is lifted", async () => {
  await createPool(owner, pool, net("0.0/29"), { cooldownSeconds: 3600, reserve: net("0.3") })
  const held = await take({ address: net("0.3"), allowReserved: true })
  await release(session, held.requestId)
  expect(await unreserve(net("0.3"))).toMatchObject({ outcome: "unreserved" })
  expect(await take({ address: net("0.3") })).toMatchObject({ outcome: "address_cooling" })
})

describe("a reservation", () => {
  beforeEach(() => createPool(owner, pool, net("0.0/24")))

  test("is a row with its reason, which the same span again may change", async () => {
    await reserve(net("0.16/28"), "printers")
    await reserve(net("0.16/28"))
    expect((await reservations()).filter(([, , kind]) => kind === "requested")).toEqual([
      [net("0.16"), net("0.31"), "requested", "printers"],
    ])
    await reserve(net("0.16/28"), "cameras")
    expect((await reservations()).filter(([, , kind]) => kind === "requested")).toEqual([
      [net("0.16"), net("0.31"), "requested", "cameras"],
    ])
  })

  test("is lifted in part, and what another one covers stays reserved", async () => {
    await reserve(net("0.16/28"))
    await reserve(`${net("0.20")}-${net("0.21")}`, "kept")
    expect(await unreserve(net("0.18/31"))).toMatchObject({ outcome: "unreserved" })
    expect((await reservations()).filter(([, , kind]) => kind === "requested")).toEqual([
      [net("0.16"), net("0.17"), "requested", null],
      [net("0.20"), net("0.21"), "requested", "kept"],
      [net("0.20"), net("0.31"), "requested", null],
    ])
    for (const [last, reserved] of [
      [17, true],
      [18, false],
      [19, false],
      [20, true],
    ] as const)
      expect((await take({ address: net(`0.${last}`) })).outcome).toBe(reserved ? "address_reserved" : "allocated")
  })

  test("of a network is not lifted; where nobody reserved anything there is nothing to lift", async () => {
    expect(await unreserve(net("0.0"))).toMatchObject({ outcome: "not_found" })
    expect(await unreserve(net("0.77"))).toMatchObject({ outcome: "not_found" })
    expect(await take({ address: net("0.0") })).toMatchObject({ outcome: "address_reserved" })
  })

  test("may lie over two ranges that touch, and not over a gap", async () => {
    await addRange(`${net("1.0")}-${net("1.9")}`)
    expect(await reserve(`${net("0.250")}-${net("1.3")}`)).toEqual([{ outcome: "reserved" }])
    expect(await reserve(`${net("1.5")}-${net("1.10")}`)).toEqual([{ outcome: "address_outside" }])
  })
})

describe("draining", () => {
  beforeEach(() => createPool(owner, pool, `${net("0.0")}-${net("0.1")},${net("1.0")}-${net("1.1")}`))

  test("a range is passed over, and what is released there stays there", async () => {
    const held = await take({ address: net("0.0") })
    expect(await change("set_draining('default', $1, true, $2)", `${net("0.0")}-${net("0.1")}`)).toMatchObject({
      outcome: "draining",
      state: "active",
      draining: 1,
      revision: 2,
    })
    for (const expected of ["1.0", "1.1"]) expect((await take()).address).toBe(net(expected))
    await release(session, held.requestId)
    expect(await take()).toMatchObject({ outcome: "exhausted" })
    expect(await counts(owner, pool)).toMatchObject({ held: 2, free: 2 })
  })

  test("of a pool holds for ranges that it gets later; the end of it for all", async () => {
    expect(await change("set_draining('default', $1, true)")).toMatchObject({ outcome: "draining", state: "draining" })
    await addRange(net("2.0"))
    expect(await take()).toMatchObject({ outcome: "exhausted" })
    expect(await change("set_draining('default', $1, true)")).toMatchObject({ outcome: "draining", revision: 3 })
    expect(await change("set_draining('default', $1, false)")).toMatchObject({ outcome: "active", draining: 0 })
    expect((await take()).address).toBe(net("0.0"))
  })

  test("a range that the pool does not have is not found", async () => {
    expect(await change("set_draining('default', $1, true, $2)", net("0.0"))).toMatchObject({ outcome: "not_found" })
  })
})

describe("a pool is changed", () => {
  const update = (change: string) =>
    owner.rows(
      `select outcome, name, gateway, cooldown_seconds, description from ipam.update_pool('default', $1, ${change})`,
      [pool],
    )

  test("in its name, which must be free", async () => {
    await createPool(owner, pool, net("0.0/24"))
    await createPool(owner, `${pool}-other`, net("1.0/24"))
    const held = await take()
    expect(await update(`name => '${pool}-other'`)).toMatchObject([{ outcome: "pool_exists", name: pool }])
    expect(await update(`name => '${pool}-new'`)).toMatchObject([{ outcome: "updated", name: `${pool}-new` }])
    expect(await allocate(session, { pool: `${pool}-new`, requestId: held.requestId })).toMatchObject({
      outcome: "replayed",
    })
  })

  test("in its gateway, whose reservation moves with it", async () => {
    await createPool(owner, pool, net("0.0/24"))
    await update("gateway => 'first'")
    expect(await take()).toMatchObject({ address: net("0.2") })
    expect(await update("gateway => 'last'")).toMatchObject([{ gateway: "last" }])
    expect((await reservations()).filter(([, , kind]) => kind === "gateway")).toEqual([
      [net("0.254"), net("0.254"), "gateway", null],
    ])
    expect((await take()).address).toBe(net("0.1"))
    await expect(update(`gateway => '${net("9.9")}'`)).rejects.toThrow("lies in no range")
  })

  test("in its description and cooldown; created again as it is now it is found, as it was it differs", async () => {
    await createPool(owner, pool, net("0.0/24"))
    expect(await update("description => 'the office', cooldown_seconds => 60")).toMatchObject([
      { description: "the office", cooldown_seconds: 60 },
    ])
    expect(await update("description => ''")).toMatchObject([{ description: null }])
    expect(await createPool(owner, pool, net("0.0/24"), { cooldownSeconds: 60 })).toBe("exists")
    const [other] = await owner.rows("select outcome, detail from ipam.create_pool('default', $1, array[$2])", [
      pool,
      net("0.0/24"),
    ])
    expect(other).toEqual({ outcome: "pool_exists", detail: { differs: ["cooldown"] } })
  })
})

test.each([
  ["first", "0.10"],
  ["last", "0.20"],
])("the %s address of a range that is no prefix is its gateway, and reserved", async (gateway, expected) => {
  const [row] = await owner.rows(
    "select reserved::int, ranges from ipam.create_pool('default', $1, array[$2], '{}', $3)",
    [pool, `${net("0.10")}-${net("0.20")}`, gateway],
  )
  expect(row).toMatchObject({ reserved: 1, ranges: [{ gateway: net(expected) }] })
})

test("a pool's address is the gateway of the range that holds it, and of no other", async () => {
  const [row] = await owner.rows("select ranges from ipam.create_pool('default', $1, array[$2, $3], '{}', $4)", [
    pool,
    `${net("0.10")}-${net("0.20")}`,
    `${net("1.10")}-${net("1.20")}`,
    net("0.11"),
  ])
  expect(row?.["ranges"]).toMatchObject([{ gateway: net("0.11") }, { gateway: null }])
  expect(await addRange(net("2.0/24"))).toMatchObject({ ranges: [{}, {}, { gateway: null }] })
})
