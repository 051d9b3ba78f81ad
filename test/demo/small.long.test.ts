/** The demo as people start it, on the server of this run, with a small plan; and that it tells when something is not as promised. */
import { describe, expect, test } from "vitest"
import { drive, EXTERNAL, play, type Scene } from "../../src/demo/scenario.ts"
import { chooseHomes } from "../../src/demo/homes.ts"
import { Stage } from "../../src/demo/stage.ts"
import { connect, type Ipam } from "../../src/promise.ts"
import { address, filesOf, prefix, useFolders } from "../import/netbox/exports.ts"
import { database, databases, start } from "./program.ts"

const makeFolder = useFolders()

describe("the demo", () => {
  test("takes a folder of exports, also one without IPv6 and with little room, says how it went, and leaves nothing", async () => {
    const prefixes = [prefix(1, "10.0.0.0/26"), prefix(2, "10.0.1.0/29")]
    const folder = await makeFolder(filesOf({ prefixes, addresses: [address(1, "10.0.1.1/29")] }))
    const { code, out } = await start(["demo", folder], "src/cli/main.ts").ended
    expect(code).toBe(0)
    expect(out).toContain("the plan has no IPv6 pool: the addresses of an instance are IPv4")
    expect(out).toMatch(/^created +\d\d instances in one VRF/m)
    expect(out).toMatch(/^exhausted +10\.0\.1\.0\/29 in VRF default, after its last \d addresses$/m)
    expect(out).toMatch(/^doctor +every invariant holds$/m)
    expect(await databases()).toEqual([])
  })

  test("refuses a folder that is not there, or has no room, with 2, and leaves nothing", async () => {
    const nowhere = await start(["/nowhere"]).ended
    expect(nowhere).toMatchObject({ code: 2, out: "", err: 'demo: InvalidInput: folder: "/nowhere" does not exist\n' })
    const none = await start([await makeFolder(filesOf({}))]).ended
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining("no pool of this plan has room") })
    expect((await start(["--help"]).ended).code).toBe(2)
    expect(await databases()).toEqual([])
  })

  test.each(["src/demo/main.ts", "src/cli/main.ts"])(
    "ends with 130 on Ctrl-C, and leaves nothing: %s",
    async (program) => {
      const { child, ended, printed } = start(program.includes("cli") ? ["demo"] : [], program)
      const begun = new Promise<void>((done) => {
        child.stdout.on("data", () => {
          if (printed().includes("started")) done()
        })
      })
      await Promise.race([begun, ended])
      child.kill("SIGINT")
      const { code, out } = await ended
      expect(code).toBe(130)
      expect(out).not.toContain("doctor")
      expect(await databases()).toEqual([])
    },
  )
})

/** The control plane in one process that never dies, so that a test can falsify what it stands on. */
const plainControlPlane = (ipam: Ipam): Scene["controlPlane"] => {
  const operations = new Map<string, string>()
  return {
    create: async ({ request, vrf, instance, pools, fails }) => {
      const operationId = operations.get(request) ?? crypto.randomUUID()
      operations.set(request, operationId)
      const slots = [
        { slot: "nic/v4", pool: pools.v4 },
        { slot: "nic/v6", pool: pools.v6 },
        { slot: "external/v4", pool: pools.external },
      ]
      const key = { vrf, requestId: operationId }
      operations.set(`delete ${instance}`, operationId)
      if (fails) return { operationId, succeeded: false }
      await ipam.allocateMany({ ...key, slots })
      return { operationId, succeeded: true }
    },
    remove: async ({ request, vrf }) => {
      const operationId = operations.get(request) ?? ""
      await ipam.releaseAll({ vrf, requestId: operationId })
      return { operationId, succeeded: true }
    },
    pending: () => Promise.resolve(0),
    crash: () => Promise.resolve(),
  }
}

describe("a promise that does not hold is noticed", () => {
  const but = <A extends object>(one: A, fields: Partial<A>): A => ({ ...one, ...fields })

  const scene = async (falsify: (ipam: Ipam) => Partial<Ipam>) => {
    const ipam = await connect({ url: database().url() })
    const name = `pool-${crypto.randomUUID()}`
    const vrf = name
    await ipam.createPool({ vrf, name, ranges: ["10.0.0.0/22"] })
    await ipam.createPool({ vrf, name: "small", ranges: ["10.1.0.0/30"] })
    const pools = await ipam.listPools({ vrf })
    const stage = new Stage(true)
    await ipam.createPool({ vrf, name: EXTERNAL, ranges: ["10.2.0.0/24"] })
    const falsified = { ...ipam, ...falsify(ipam) }
    const altered = {
      ipam: falsified,
      controlPlane: plainControlPlane(falsified),
      stage,
      signal: new AbortController().signal,
    }
    await play(altered, chooseHomes(pools, 6))
    const small = pools.find((pool) => pool.name === "small")
    if (small !== undefined) await drive(altered, small)
    await ipam.close()
    return [...stage.broken]
  }

  test("and none is, where all hold", async () => {
    expect(await scene(() => ({}))).toEqual([])
  })

  const alteredList =
    (ipam: Ipam, alter: (all: Awaited<ReturnType<Ipam["list"]>>) => Awaited<ReturnType<Ipam["list"]>>): Ipam["list"] =>
    async (request) =>
      alter(await ipam.list(request))

  test("an answer that is another the second time", async () => {
    const seen = new Set<string>()
    const list = (ipam: Ipam) =>
      alteredList(ipam, (all) =>
        all.map((one) => {
          const again = seen.has(one.requestId + one.slot)
          seen.add(one.requestId + one.slot)
          return again && one.state === "confirmed" ? but(one, { generation: one.generation + 1n }) : one
        }),
      )
    expect(await scene((ipam) => ({ list: list(ipam) }))).toEqual(["a repeated call gets its first answer"])
  })

  test("an address that two have", async () => {
    const list = (ipam: Ipam) =>
      alteredList(ipam, (all) =>
        all.map((one) => (one.state === "confirmed" ? but(one, { address: "10.0.0.7" }) : one)),
      )
    const broken = await scene((ipam) => ({ list: list(ipam) }))
    expect(broken).toContain("no two instances share an address within a VRF")
    expect(broken).toContain("an address that came free goes to one caller only")
  })

  test("a saga that has ended with half of what it needs", async () => {
    const list = (ipam: Ipam) => alteredList(ipam, (all) => all.slice(1))
    expect(await scene((ipam) => ({ list: list(ipam) }))).toContain(
      "a saga that has ended holds everything, or nothing",
    )
  })

  test("racers that get different addresses, and a deletion that frees nothing", async () => {
    const allocate =
      (ipam: Ipam): Ipam["allocate"] =>
      (request) =>
        ipam.allocate({ ...request, requestId: crypto.randomUUID() })
    const broken = await scene((ipam) => ({ allocate: allocate(ipam), releaseAll: () => Promise.resolve([]) }))
    expect(broken).toContain("callers that race with one key get one address")
    expect(broken).toContain("a deleted instance holds nothing")
  })

  test("a released key that lives again", async () => {
    const allocate =
      (ipam: Ipam): Ipam["allocate"] =>
      (request) =>
        ipam.allocate(request).catch(() => ipam.allocate({ ...request, requestId: crypto.randomUUID() }))
    expect(await scene((ipam) => ({ allocate: allocate(ipam) }))).toContain("a late try of a released key is refused")
  })

  test("a pool that is exhausted while it has an address left", async () => {
    let calls = 0
    const allocate =
      (ipam: Ipam): Ipam["allocate"] =>
      async (request) => {
        if (request.pool !== "small") return ipam.allocate(request)
        calls += 1
        if (calls === 2) await ipam.allocate({ ...request, requestId: crypto.randomUUID() })
        return ipam.allocate(request)
      }
    expect(await scene((ipam) => ({ allocate: allocate(ipam) }))).toEqual([
      "a pool gives all of its addresses, and then says that it is exhausted",
    ])
  })
})
