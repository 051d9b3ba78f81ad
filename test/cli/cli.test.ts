import { beforeAll, describe, expect, test } from "vitest"
import { SCHEMA_VERSION } from "../../src/database/schemaVersion.ts"
import { createDatabase, useDatabase, type TestDatabase } from "../harness/database.ts"
import { start, useCommand } from "./command.ts"

const database = useDatabase()
const { cli, answer, refusal } = useCommand(database)

const key = (): ReadonlyArray<string> => ["--request", crypto.randomUUID()]

beforeAll(async () => {
  await answer("pool", "create", "web", "--range", "10.0.0.0/24", "--gateway", "first", "--cooldown", "0")
})

describe("an allocation", () => {
  test("is created, replayed, confirmed, read, found, listed and released, each printed as one JSON value", async () => {
    const requestId = crypto.randomUUID()
    const named = ["--request", requestId, "--slot", "eth0/v4"]
    const take = ["allocate", "--pool", "web", ...named, "--owner", "instance/i-1/eth0", "--ttl", "300"]
    const allocated = await answer(...take)
    expect(allocated).toMatchObject({
      outcome: "allocated",
      vrf: "default",
      pool: "web",
      requestId,
      slot: "eth0/v4",
      address: expect.stringMatching(/^10\.0\.0\.\d+$/),
      prefixLength: 24,
      gateway: "10.0.0.1",
      generation: expect.stringMatching(/^\d+$/),
      state: "provisional",
      expiresAt: expect.any(String),
      owner: { kind: "instance", id: "i-1/eth0" },
    })
    const { address } = allocated as { readonly address: string }
    expect(await answer(...take)).toEqual({ ...(allocated as object), outcome: "replayed" })
    expect(await answer("extend", ...named, "--ttl", "600")).toMatchObject({ outcome: "extended", address })
    expect(await answer("confirm", ...named)).toMatchObject({ state: "confirmed", expiresAt: null })
    expect(await answer("get", ...named)).toMatchObject({ outcome: "held", address })
    expect(await answer("who", address)).toMatchObject({ requestId, slot: "eth0/v4" })
    expect(await answer("list", "--owner", "instance/i-1/eth0")).toMatchObject([{ address, requestId }])
    expect(await answer("list", "--prefix", "10.0.0.0/8")).toMatchObject([{ address }])
    expect(await answer("release", ...named)).toMatchObject({ outcome: "released", freed: true })
    expect(await answer("release", "--all", "--request", requestId)).toMatchObject([{ freed: false }])
    expect(await refusal(...take)).toMatchObject({ code: 5, error: "KeyReleased", requestId })
  })

  test("that has expired is reclaimed", async () => {
    const request = key()
    await answer("allocate", "--pool", "web", ...request, "--ttl", "0.000001")
    expect(await refusal("reclaim", "--vrf", "other")).toMatchObject({ code: 3, error: "UnknownVrf", vrf: "other" })
    expect(await answer("reclaim", "--vrf", "default")).toMatchObject([
      { outcome: "released", requestId: request[1], releaseReason: "expired" },
    ])
    expect(await answer("reclaim")).toEqual([])
  })

  test("is printed as aligned lines without --json", async () => {
    const { code, out, err } = await cli(
      "allocate",
      "--pool",
      "web",
      ...key(),
      "--address",
      "10.0.0.77",
      "--owner",
      "vm/\u001b[31m",
    )
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toMatch(/^outcome +allocated\naddress +10\.0\.0\.77\/24\n/)
    expect(out).toContain("vm/\\x1b[31m")
  })
})

describe("a pool", () => {
  test("is created, changed, shown and deleted, with its counts as strings", async () => {
    const created = await answer(
      "pool",
      "create",
      "small",
      "--vrf",
      "lab",
      "--range",
      "10.0.0.0/30",
      "--range",
      "10.9.0.1",
      "--reserve",
      "10.0.0.2",
    )
    expect(created).toMatchObject({ outcome: "created", vrf: "lab", size: "5", reserved: "3", free: "2" })
    const lab = ["--vrf", "lab"]
    expect(await answer("pool", "add-range", "small", "10.1.0.1-10.1.0.4", ...lab)).toMatchObject({
      outcome: "added",
      size: "9",
    })
    expect(await answer("pool", "reserve", "small", "10.1.0.4", ...lab)).toMatchObject({ reserved: "4" })
    expect(await answer("pool", "unreserve", "small", "10.1.0.4", ...lab)).toMatchObject({ reserved: "3" })
    expect(await answer("pool", "remove-range", "small", "10.1.0.1-10.1.0.4", ...lab)).toMatchObject({ size: "5" })
    expect(await answer("pool", "show", "small", ...lab)).toMatchObject({ outcome: "found", ranges: expect.any(Array) })
    expect(await answer("pool", "list", ...lab)).toMatchObject([{ name: "small" }])
    expect((await cli("pool", "list", ...lab)).out).toMatch(
      /^VRF {2}POOL .* FREE +USED\nlab {2}small +IPv4 +5 +0 +3 +0 +2 +0\.0%\n$/,
    )
    expect(await answer("pool", "delete", "small", ...lab)).toMatchObject({ outcome: "deleted" })
    expect(await answer("pool", "list", ...lab)).toEqual([])
  })
})

describe("an exit code", () => {
  test("2: invalid input, and a usage error", async () => {
    expect(await refusal("get", "--request", "nonsense")).toMatchObject({
      code: 2,
      error: "InvalidInput",
      field: "request",
      message: expect.stringMatching(/^--request: must be a UUID/),
    })
    expect(await refusal("allocate", ...key())).toMatchObject({ code: 2, error: "InvalidInput", field: "pool" })
    expect(await refusal("allocate", "--pool", "web", ...key(), "--ttl", "soon")).toMatchObject({
      code: 2,
      field: "ttl",
    })
    expect(await refusal("allocate", "--pool", "web", ...key(), "--owner", "nobody")).toMatchObject({
      code: 2,
      field: "owner",
    })
    expect(await refusal("allocate", "--pool", "web", ...key(), "--ttl", "0")).toMatchObject({
      code: 2,
      field: "ttl",
      message: expect.stringMatching(/^--ttl: must be a number of seconds/),
    })
    expect(await refusal("list", "--pool", "web", "--all-vrfs")).toMatchObject({ code: 2, error: "InvalidInput" })
    expect(await refusal("pool", "create", "x")).toMatchObject({ code: 2, field: "range" })
    expect(await refusal("alocate")).toMatchObject({ code: 2, error: "InvalidInput" })
    const people = await cli("allocate", "--nonsense")
    expect(people).toMatchObject({ code: 2, out: "" })
    expect(people.err).toMatch(/^saga-ipam: InvalidInput: .*--nonsense/)
    expect(people.err).toContain("See: saga-ipam allocate --help")
  })

  test("3: something that does not exist", async () => {
    expect(await refusal("get", ...key())).toMatchObject({ code: 3, error: "NotFound", slot: "default" })
    expect(await refusal("allocate", "--pool", "nowhere", ...key())).toMatchObject({ code: 3, error: "UnknownPool" })
  })

  test("4 and 5: an exhausted pool, and an address that somebody holds", async () => {
    await answer("pool", "create", "one", "--range", "10.2.0.1")
    await answer("allocate", "--pool", "one", ...key())
    expect(await refusal("allocate", "--pool", "one", ...key())).toMatchObject({
      code: 4,
      error: "PoolExhausted",
      held: "1",
    })
    expect(await refusal("allocate", "--pool", "one", ...key(), "--address", "10.2.0.1")).toMatchObject({
      code: 5,
      error: "AddressTaken",
    })
    const people = await cli("pool", "delete", "one")
    expect(people).toMatchObject({ code: 5, out: "" })
    expect(people.err).toMatch(/^saga-ipam: PoolInUse: [^\n]+\n$/)
  })

  test.each([["pool", "list"], ["demo"]])(
    "6: a server that does not answer, without showing the password: %s",
    async (...words) => {
      const { code, out, err } = await start([...words, "--json", "--url", "postgres://me:sesame@127.0.0.1:1/none"])
        .ended
      expect({ code, out }).toEqual({ code: 6, out: "" })
      expect(JSON.parse(err)).toMatchObject({ error: "DatabaseUnreachable" })
      expect(err).not.toContain("sesame")
    },
  )

  test("130: Ctrl-C while a call waits, which then writes nothing", async () => {
    await answer("pool", "create", "held", "--range", "10.3.0.1")
    const blocker = database().session()
    await blocker.run("begin; lock table ipam.allocation in access exclusive mode")
    const request = key()
    try {
      const { child, ended } = start(["allocate", "--pool", "held", ...request, "--url", database().url()])
      await blocker.until(
        "select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())",
      )
      child.kill("SIGINT")
      expect(await ended).toMatchObject({ code: 130, out: "", err: "" })
    } finally {
      await blocker.run("rollback")
    }
    expect(await refusal("get", ...request)).toMatchObject({ code: 3 })
  })
})

describe("the doctor", () => {
  test("ends with 7 if it finds something, repairs it with --repair, and then ends with 0", async () => {
    expect(await answer("doctor")).toEqual([])
    const owner = database().session()
    await owner.run(
      "update ipam.pool_counter set held = held + 1 where ctid = (select min(ctid) from ipam.pool_counter)",
    )
    const found = await cli("doctor", "--json")
    expect(found).toMatchObject({ code: 7, err: "" })
    const finding = { check: expect.any(String), pool: "web", detail: expect.any(String), repair: expect.any(String) }
    expect(JSON.parse(found.out)).toContainEqual(expect.objectContaining(finding))
    expect(await answer("doctor", "--repair")).toMatchObject({ repaired: [{ pool: "web" }], findings: [] })
    expect((await cli("doctor")).out).toBe("Every invariant holds.\n")
  })

  test("shows what it repaired, and what remains with the command that resolves it", async () => {
    const owner = database().session()
    const request = crypto.randomUUID()
    await answer("pool", "create", "displaced", "--range", "10.77.0.0/30")
    await answer("allocate", "--pool", "displaced", "--request", request)
    await owner.rows("update ipam.allocation set unit = '10.99.0.1' where request_id = $1", [request])
    const { code, out } = await cli("doctor", "--repair")
    expect(code).toBe(7)
    const [done = "", left = ""] = out.split("What remains:")
    expect(done).toMatch(/^CHECK.*DONE\nneither free nor held +default +displaced +1 units +extents were created/)
    expect(done).not.toContain("10.99.0.1")
    expect(left).toContain(`held outside its range  default  displaced  10.99.0.1 (request ${request}, slot default)`)
    expect(left).toContain(`release it: saga-ipam release --request ${request} --slot 'default' --vrf 'default'`)
    const again = await cli("doctor", "--repair")
    expect(again).toMatchObject({ code: 7, out: expect.stringMatching(/^Nothing was repaired\.\nCHECK/) })
    await answer("release", "--request", request, "--slot", "default", "--vrf", "default")
    expect((await cli("doctor")).out).toBe("Every invariant holds.\n")
  })
})

describe("the schema", () => {
  test("is missing with exit code 6 until migrate creates it, on the database of DATABASE_URL", async () => {
    const empty: TestDatabase = await createDatabase("empty")
    try {
      const env = { DATABASE_URL: empty.url() }
      const before = await start(["pool", "list", "--json"], env).ended
      expect(before.code).toBe(6)
      expect(JSON.parse(before.err)).toMatchObject({ error: "SchemaTooOld", version: null })
      const migrated = await start(["migrate", "--json"], env).ended
      expect(JSON.parse(migrated.out)).toMatchObject({
        version: SCHEMA_VERSION,
        applied: expect.arrayContaining([expect.any(String)]),
      })
      expect(await start(["pool", "list", "--json"], env).ended).toEqual({ code: 0, out: "[]\n", err: "" })
    } finally {
      await empty.drop()
    }
  })
})

describe("help", () => {
  test("goes to stdout and needs no database", async () => {
    for (const args of [["--help"], ["pool"], ["pool", "create", "--help"]]) {
      const { code, out, err } = await start(args, { DATABASE_URL: "nonsense" }).ended
      expect({ code, err }).toEqual({ code: 0, err: "" })
      expect(out).toContain("USAGE")
    }
  })

  test("is not needed to find the embedded server: its folder is that of --data, else of SAGA_IPAM_DATA", async () => {
    const env = { SAGA_IPAM_DATA: "/nowhere/b" }
    expect((await start(["db", "path", "--data", "/nowhere/a"], env).ended).out).toBe("/nowhere/a\n")
    expect((await start(["db", "path"], env).ended).out).toBe("/nowhere/b\n")
    const { out } = await start(["db", "status", "--json"], env).ended
    expect(JSON.parse(out)).toEqual({ state: "stopped", folder: "/nowhere/b" })
  })
})
