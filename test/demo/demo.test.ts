/** The demo as people start it, on the server of this run; and that it tells when something is not as promised. */
import { beforeAll, describe, expect, test } from "vitest"
import { drive, EXTERNAL, play, type Scene } from "../../src/demo/flow.ts"
import { chooseHomes } from "../../src/demo/homes.ts"
import { Stage } from "../../src/demo/stage.ts"
import { connect, type Ipam } from "../../src/promise.ts"
import { address, filesOf, prefix, useFolders } from "../netbox/exports.ts"
import { useDatabase, type Session } from "../harness/database.ts"
import { startProgram } from "../harness/programs.ts"

const database = useDatabase()
const makeFolder = useFolders()
let owner: Session

beforeAll(() => {
  owner = database().session()
})

/** Starts the program of `npm run demo`, or another one. */
const start = (args: ReadonlyArray<string>, program = "src/demo/main.ts") => {
  const child = startProgram(program, args, { DATABASE_URL: database().url() })
  let out = ""
  let err = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  const ended = new Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>((done) => {
    child.on("close", (code) => done({ code, out, err }))
  })
  return { child, ended, printed: () => out }
}

/** The databases of demos that are there. */
const databases = () => owner.rows("select datname from pg_database where datname like 'saga\\_ipam\\_demo\\_%'")

describe("the demo", () => {
  test("plays our own plan, says how it went, ends with 0 and leaves nothing", async () => {
    const { code, out, err } = await start([]).ended
    expect({ code, err }).toEqual({ code: 0, err: "" })
    for (const line of [
      /^imported +9 pools, 4 reservations, 15 allocations from .*demo\/plan$/m,
      /^ +6 entries have no place here: 3 container, 2 status, 1 outside$/m,
      /^ +imported again: nothing new$/m,
      /^started +two workers; the flows of one that is gone wait 4 s for the other, by default 20$/m,
      /^crashed +one of two workers, killed with \d+ flows under way and started again$/m,
      /^created +350 instances in 3 VRFs, three addresses each, 16 flows at a time/m,
      /^unwound +50 flows whose machine failed on purpose: nothing is left of them$/m,
      /^ +[1-9]\d* addresses are held in several VRFs at once/m,
      /^repeated +117 of the flows: each got its first answer$/m,
      /^raced +20 keys, 8 callers each: one address a key$/m,
      /^deleted +175 instances, each twice; a late try of one of their steps: KeyReleased$/m,
      /^created +154 more: [1-9]\d* of their addresses had come free$/m,
      /^flows +679 succeeded, 71 unwound, \d+ resumed after the crash or went on beside it$/m,
      /^addresses +\d+ held, ~\S+ free, 0 cooling$/m,
      /^exhausted +192\.0\.2\.0\/28 in VRF default, after its last 11 addresses$/m,
      /^reused +192\.0\.2\.\d+, released and taken again: generation \d+, then \d+$/m,
      /^red +10\.64\.0\.0\/22 +█+▒+·+ +\d+ held +16 reserved +\d+ free$/m,
      /^doctor +every invariant holds$/m,
    ]) {
      expect(out).toMatch(line)
    }
    expect(out).not.toContain("broken")
    expect(await databases()).toEqual([])
  })

  test("takes a folder of exports in place of it, also one without IPv6 and with little room", async () => {
    const prefixes = [prefix(1, "10.0.0.0/26"), prefix(2, "10.0.1.0/29")]
    const folder = await makeFolder(filesOf({ prefixes, addresses: [address(1, "10.0.1.1/29")] }))
    const { code, out } = await start(["demo", folder], "src/cli/main.ts").ended
    expect(code).toBe(0)
    expect(out).toContain("the plan has no IPv6 pool: the addresses of an instance are IPv4")
    expect(out).toMatch(/^created +\d\d instances in one VRF/m)
    expect(out).toMatch(/^exhausted +10\.0\.1\.0\/29 in VRF default, after its last \d addresses$/m)
    expect(out).toMatch(/^doctor +every invariant holds$/m)
  })

  test("with --json is one object", async () => {
    const { code, out, err } = await start(["demo", "--json"], "src/cli/main.ts").ended
    expect({ code, err, lines: out.split("\n").length }).toEqual({ code: 0, err: "", lines: 2 })
    const result: unknown = JSON.parse(out)
    expect(result).toMatchObject({ ok: true, findings: [], broken: [], steps: expect.any(Array) })
  })

  test("refuses a folder that is not there, or has no room, with 2, and leaves nothing", async () => {
    const nowhere = await start(["/nowhere"]).ended
    expect(nowhere).toMatchObject({ code: 2, out: "", err: 'demo: InvalidInput: folder: "/nowhere" is not there\n' })
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

/** The flows of one process that never dies, so that a test can falsify what they stand on. */
const plainFlows = (ipam: Ipam): Scene["flows"] => {
  const operations = new Map<string, string>()
  return {
    create: async ({ request, vrf, instance, pools, temper }) => {
      const operationId = operations.get(request) ?? crypto.randomUUID()
      operations.set(request, operationId)
      const slots = [
        { slot: "nic/v4", pool: pools.v4 },
        { slot: "nic/v6", pool: pools.v6 },
        { slot: "external/v4", pool: pools.external },
      ]
      const key = { vrf, requestId: operationId }
      operations.set(`delete ${instance}`, operationId)
      if (temper === "fail") return { operationId, succeeded: false }
      await ipam.allocateMany({ ...key, slots })
      return { operationId, succeeded: true }
    },
    remove: async ({ request, vrf }) => {
      const operationId = operations.get(request) ?? ""
      await ipam.releaseAll({ vrf, requestId: operationId })
      return { operationId, succeeded: true }
    },
    underWay: () => Promise.resolve(0),
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
    const pools = await ipam.pools({ vrf })
    const stage = new Stage(true)
    await ipam.createPool({ vrf, name: EXTERNAL, ranges: ["10.2.0.0/24"] })
    const falsified = { ...ipam, ...falsify(ipam) }
    const altered = { ipam: falsified, flows: plainFlows(falsified), stage, signal: new AbortController().signal }
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

  test("a flow that ended with half of what it needs", async () => {
    const list = (ipam: Ipam) => alteredList(ipam, (all) => all.slice(1))
    expect(await scene((ipam) => ({ list: list(ipam) }))).toContain("a flow that ended holds everything, or nothing")
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
