/** The demo as people start it, on the server of this run; and that it tells when something is not as promised. */
import { spawn } from "node:child_process"
import { resolve } from "node:path"
import { beforeAll, describe, expect, test } from "vitest"
import { drive, play } from "../../src/demo/flow.ts"
import { chooseHomes } from "../../src/demo/homes.ts"
import { Stage } from "../../src/demo/stage.ts"
import { connect, type Ipam } from "../../src/promise.ts"
import { address, filesOf, prefix, useFolders } from "../netbox/exports.ts"
import { useDatabase, type Session } from "../support/database.ts"

const database = useDatabase()
const makeFolder = useFolders()
let owner: Session

beforeAll(() => {
  owner = database().session()
})

/** Starts the program of `npm run demo`, or another one. */
const start = (args: ReadonlyArray<string>, program = "../../src/demo/main.ts") => {
  const main = resolve(import.meta.dirname, program)
  const child = spawn(process.execPath, ["--conditions=@saga-ipam/source", main, ...args], {
    env: { ...process.env, DATABASE_URL: database().url() },
    stdio: ["ignore", "pipe", "pipe"],
  })
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
      /^created +400 instances in 3 VRFs, two addresses each, 16 at a time/m,
      /^ +[1-9]\d* addresses are held in several VRFs at once/m,
      /^repeated +134 of the calls: each got its first answer$/m,
      /^raced +20 keys, 8 callers each: one address a key$/m,
      /^released +200 instances, each twice; a late try of one of them: KeyReleased$/m,
      /^created +200 more: [1-9]\d* of their addresses had come free$/m,
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
    const { code, out } = await start(["demo", folder], "../../src/cli/main.ts").ended
    expect(code).toBe(0)
    expect(out).toContain("the plan has no IPv6 pool: both addresses of an instance are IPv4")
    expect(out).toMatch(/^created +\d\d instances in one VRF/m)
    expect(out).toMatch(/^exhausted +10\.0\.1\.0\/29 in VRF default, after its last \d addresses$/m)
    expect(out).toMatch(/^doctor +every invariant holds$/m)
  })

  test("with --json is one object", async () => {
    const { code, out, err } = await start(["demo", "--json"], "../../src/cli/main.ts").ended
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

  test.each(["../../src/demo/main.ts", "../../src/cli/main.ts"])(
    "ends with 130 on Ctrl-C, and leaves nothing: %s",
    async (program) => {
      const { child, ended, printed } = start(program.includes("cli") ? ["demo"] : [], program)
      const begun = new Promise<void>((done) => {
        child.stdout.on("data", () => {
          if (printed().includes("created")) done()
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
    const altered = { ipam: { ...ipam, ...falsify(ipam) }, stage, signal: new AbortController().signal }
    await play(altered, chooseHomes(pools, 6))
    const small = pools.find((pool) => pool.name === "small")
    if (small !== undefined) await drive(altered, small)
    await ipam.close()
    return [...stage.broken]
  }

  test("and none is, where all hold", async () => {
    expect(await scene(() => ({}))).toEqual([])
  })

  test("a replay that answers something else", async () => {
    const allocateMany =
      (ipam: Ipam): Ipam["allocateMany"] =>
      async (request) => {
        const answers = await ipam.allocateMany(request)
        return answers.map((one) => (one.outcome === "replayed" ? but(one, { generation: one.generation + 1n }) : one))
      }
    expect(await scene((ipam) => ({ allocateMany: allocateMany(ipam) }))).toEqual([
      "a repeated call gets its first answer",
    ])
  })

  test("an address that two have", async () => {
    const allocateMany =
      (ipam: Ipam): Ipam["allocateMany"] =>
      async (request) =>
        (await ipam.allocateMany(request)).map((one) => but(one, { address: "10.0.0.7" }))
    const broken = await scene((ipam) => ({ allocateMany: allocateMany(ipam) }))
    expect(broken).toContain("every instance has two addresses, and no two share one within a VRF")
    expect(broken).toContain("an address that came free goes to one caller only")
  })

  test("racers that get different addresses, and a release that frees twice", async () => {
    const allocate =
      (ipam: Ipam): Ipam["allocate"] =>
      (request) =>
        ipam.allocate({ ...request, requestId: crypto.randomUUID() })
    const releaseMany =
      (ipam: Ipam): Ipam["releaseMany"] =>
      async (request) =>
        (await ipam.releaseMany(request)).map((one) => but(one, { freed: true }))
    const broken = await scene((ipam) => ({ allocate: allocate(ipam), releaseMany: releaseMany(ipam) }))
    expect(broken).toContain("callers that race with one key get one address")
    expect(broken).toContain("the first release frees, the second changes nothing")
  })

  test("a released key that lives again", async () => {
    const allocateMany =
      (ipam: Ipam): Ipam["allocateMany"] =>
      (request) =>
        ipam.allocateMany(request).catch(() => ipam.allocateMany({ ...request, requestId: crypto.randomUUID() }))
    expect(await scene((ipam) => ({ allocateMany: allocateMany(ipam) }))).toEqual([
      "a late try of a released key is refused",
    ])
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
