/** What goes wrong at night: databases, files and answers that cannot be reached, read, written or found, each with its message and exit code. */
import { spawn } from "node:child_process"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { useDatabase } from "../harness/database.ts"
import { start, useCommand } from "./command.ts"

const database = useDatabase()
const { cli, answer, refusal } = useCommand(database)

const main = resolve(import.meta.dirname, "../../src/cli/main.ts")

const newFolder = async (mode: number): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "ipam-operator-"))
  await chmod(folder, mode)
  onTestFinished(() => rm(folder, { recursive: true }))
  return folder
}
/** The error of a command that runs on a folder. */
const onFolder = async (folder: string): Promise<Record<string, unknown>> => {
  const { code, out, err } = await start(["pool", "list", "--json", "--data", folder]).ended
  expect(out).toBe("")
  return { ...(JSON.parse(err) as object), code }
}
const misconfigured = { code: 8, error: "DatabaseMisconfigured" }

describe("a database that cannot be used", () => {
  test("because no server listens ends with 6, and nothing was written", async () => {
    const { code, err } = await start(["pool", "list", "--url", "postgres://127.0.0.1:1/none"]).ended
    expect(code).toBe(6)
    expect(err).toMatch(/^saga-ipam: DatabaseUnreachable: .*ECONNREFUSED.*; nothing was written/)
  })

  test("because its name or role is unknown ends with 8", async () => {
    const url = database().url()
    for (const place of [url.replace(database().name, "no_such_database"), url.replace(/\/\/[^@]+@/, "//nobody@")]) {
      const { code, err } = await start(["pool", "list", "--url", place, "--json"]).ended
      expect({ ...(JSON.parse(err) as object), code }).toMatchObject(misconfigured)
    }
  })

  test.runIf(process.getuid?.() === 0)(
    "because the user of the server cannot enter its folder ends with 8",
    async () => {
      expect(await onFolder(join(await newFolder(0o700), "data"))).toMatchObject(misconfigured)
    },
  )

  test("because its folder is a file ends with 8", async () => {
    const file = join(await newFolder(0o755), "file")
    await writeFile(file, "")
    expect(await onFolder(file)).toMatchObject(misconfigured)
  })

  test.runIf(process.platform === "linux")("because its folder cannot be created ends with 8", async () => {
    expect(await onFolder("/proc/data")).toMatchObject(misconfigured)
  })

  test("because the role lacks a privilege ends with 8, and names the role to grant", async () => {
    const { code, err } = await start(["pool", "list", "--url", database().url("ipam_reader")]).ended
    expect({ code, err }).toEqual({ code: 0, err: "" })
    const words = [
      "pool",
      "create",
      "web",
      "--range",
      "10.0.0.0/24",
      "--json",
      "--url",
      database().url("ipam_allocator"),
    ]
    const refused = await start(words).ended
    expect({ ...(JSON.parse(refused.err) as object), code: refused.code }).toMatchObject({
      code: 8,
      error: "NotPermitted",
      role: "ipam_operator",
    })
  })
})

describe("an allocation", () => {
  const holder = (id: string) => ["--request", crypto.randomUUID(), "--owner", `instance/${id}`]
  const addresses = (answered: unknown) =>
    (answered as ReadonlyArray<{ readonly address: string }>).map((one) => one.address)

  beforeAll(async () => {
    await answer("pool", "create", "one", "--range", "10.1.0.0/24")
    await answer("pool", "create", "blue", "--vrf", "blue", "--range", "10.1.0.0/24")
    for (const id of ["a", "b", "c"]) await answer("allocate", "--pool", "one", ...holder(id))
    await answer("allocate", "--pool", "blue", "--vrf", "blue", ...holder("d"))
  })

  test("is listed by VRF or in all VRFs, counted, and listed in pages", async () => {
    expect(addresses(await answer("list"))).toEqual(["10.1.0.1", "10.1.0.2", "10.1.0.3"])
    expect(addresses(await answer("list", "--all-vrfs"))).toEqual(["10.1.0.1", "10.1.0.1", "10.1.0.2", "10.1.0.3"])
    expect(await answer("list", "--vrf", "blue", "--count")).toEqual({ count: 1 })
    expect((await cli("list", "--all-vrfs", "--count")).out).toBe("4\n")
    expect(addresses(await answer("list", "--limit", "2"))).toEqual(["10.1.0.1", "10.1.0.2"])
    const first = await cli("list", "--all-vrfs", "--limit", "1")
    const cursor = /More: --after (\S+)\n$/.exec(first.out)?.[1] ?? ""
    expect(cursor).toBe("10.1.0.1@blue")
    expect(addresses(await answer("list", "--all-vrfs", "--after", cursor))).toEqual([
      "10.1.0.1",
      "10.1.0.2",
      "10.1.0.3",
    ])
    expect(addresses(await answer("list", "--after", "10.1.0.2"))).toEqual(["10.1.0.3"])
    expect(await refusal("list", "--all-vrfs", "--vrf", "blue")).toMatchObject({ code: 2 })
  })

  test("is shown with the time since when and until when it is held", async () => {
    const words = ["allocate", "--pool", "one", ...holder("e"), "--ttl", "600"]
    const taken = (await answer(...words)) as { readonly allocatedAt: string; readonly expiresAt: string }
    expect(Date.parse(taken.expiresAt) - Date.parse(taken.allocatedAt)).toBe(600_000)
    expect(await answer(...words)).toMatchObject({ outcome: "replayed", allocatedAt: taken.allocatedAt })
    const { out } = await cli("list")
    expect(out).toMatch(/ OWNER +SINCE +UNTIL\n/)
    expect(out).toMatch(new RegExp(` ${taken.allocatedAt} +${taken.expiresAt}\n`))
  })

  test.each([
    ["list", "--vrf", "bleu"],
    ["list", "--vrf", "bleu", "--owner", "instance/a"],
    ["list", "--vrf", "bleu", "--prefix", "10.0.0.0/8"],
    ["who", "10.1.0.1", "--vrf", "bleu"],
    ["pool", "list", "--vrf", "bleu"],
    ["reclaim", "--vrf", "bleu"],
    ["reconcile", "--vrf", "bleu", "--owners-sql", "select 'instance' as kind, 'a' as id"],
    ["reconcile", "--vrf", "bleu", "--dry-run", "--owners-sql", "select 'instance' as kind, 'a' as id"],
  ])("is not searched in an unknown VRF: %s %s %s", async (...words) => {
    expect(await refusal(...words)).toMatchObject({ code: 3, error: "UnknownVrf", vrf: "bleu" })
  })
})

describe("an address", () => {
  /** The answer of `who` for an address that nobody holds: exit code 3. */
  const unheld = async (address: string, ...words: ReadonlyArray<string>) => {
    const { code, out, err } = await cli("who", address, ...words, "--json")
    expect({ code, err }).toEqual({ code: 3, err: "" })
    return JSON.parse(out) as Record<string, unknown>
  }

  beforeAll(async () => {
    await answer(
      "pool",
      "create",
      "rest",
      "--vrf",
      "states",
      "--range",
      "10.2.0.0/24",
      "--gateway",
      "first",
      "--cooldown",
      "3600",
    )
    await answer("pool", "reserve", "rest", "10.2.0.64/26", "--vrf", "states", "--reason", "for the printers")
    await answer("pool", "create", "leaving", "--vrf", "states", "--range", "10.2.1.0/24")
    await answer("pool", "drain", "leaving", "--vrf", "states")
  })

  test("is free, reserved with a reason, cooling with its last owner, draining, or outside", async () => {
    const location = { vrf: "states", pool: "rest", prefixLength: 24, gateway: "10.2.0.1" }
    expect(await unheld("10.2.0.9")).toMatchObject({ outcome: "free", ...location, until: null, reservations: [] })
    expect(await unheld("10.2.0.70")).toMatchObject({
      outcome: "reserved",
      reservations: [{ first: "10.2.0.64", last: "10.2.0.127", kind: "requested", reason: "for the printers" }],
    })
    expect(await unheld("10.2.0.1")).toMatchObject({ outcome: "reserved", reservations: [{ kind: "gateway" }] })
    expect(await unheld("10.2.1.9")).toMatchObject({ outcome: "draining", pool: "leaving" })
    expect(await unheld("10.3.0.1")).toMatchObject({ outcome: "outside", vrf: null, pool: null })
    expect(await unheld("10.3.0.1", "--vrf", "states")).toMatchObject({ outcome: "outside", vrf: "states" })

    const named = ["--vrf", "states", "--request", crypto.randomUUID()]
    const held = await answer("allocate", "--pool", "rest", "--address", "10.2.0.9", ...named, "--owner", "instance/a")
    expect(await answer("who", "10.2.0.9")).toEqual({ ...(held as object), outcome: "held" })
    const { releasedAt } = (await answer("release", ...named)) as { readonly releasedAt: string }
    const until = new Date(Date.parse(releasedAt) + 3_600_000).toISOString()
    const cooling = { outcome: "cooling", ...location, until, lastOwner: { kind: "instance", id: "a" } }
    expect(await unheld("10.2.0.9")).toMatchObject(cooling)
    await answer("pool", "reserve", "rest", "10.2.0.9", "--vrf", "states")
    expect(await unheld("10.2.0.9")).toMatchObject({ ...cooling, outcome: "reserved" })
    const { out } = await cli("who", "10.2.0.9")
    expect(out).toContain(`cooling     until ${until}\nlast owner  instance/a\nreserved    10.2.0.9 (requested)\n`)
  })

  test("in ranges of two VRFs is ambiguous without a VRF", async () => {
    await answer("pool", "create", "twin", "--vrf", "twin", "--range", "10.2.0.0/24")
    expect(await refusal("who", "10.2.0.20")).toMatchObject({ code: 5, error: "AmbiguousIdentity" })
    expect(await unheld("10.2.0.20", "--vrf", "twin")).toMatchObject({ outcome: "free", pool: "twin" })
  })
})

test("reconcile --settle 0 marks in its first run and releases in the next", async () => {
  await answer("pool", "create", "orphaned", "--vrf", "orphans", "--range", "10.5.0.0/24")
  await answer(
    "allocate",
    "--pool",
    "orphaned",
    "--vrf",
    "orphans",
    "--request",
    crypto.randomUUID(),
    "--owner",
    "instance/gone",
  )
  const nobody = ["--owners-sql", "select 'instance' as kind, id from (values ('x')) o (id)", "--max-share", "1"]
  const run = () => answer("reconcile", "--vrf", "orphans", "--settle", "0", "--grace", "0", ...nobody)
  expect(await run()).toMatchObject({ marked: 1, released: [] })
  expect(await run()).toMatchObject({ marked: 0, released: [{ owner: { id: "gone" } }] })
})

describe("an answer", () => {
  test.runIf(process.platform === "linux")(
    "that cannot be written is an error, and the command has taken effect",
    async () => {
      await answer("pool", "create", "full", "--vrf", "full", "--range", "10.6.0.0/24")
      const words = ["allocate", "--vrf", "full", "--pool", "full", "--request", crypto.randomUUID()]
      const { code, err } = await piped(">/dev/full", ...words)
      expect({ code, err }).toEqual({
        code: 8,
        err: expect.stringMatching(
          /^saga-ipam: The output cannot be written: ENOSPC.*took effect all the same\n$/,
        ) as unknown,
      })
      expect(await answer("list", "--vrf", "full")).toHaveLength(1)
      expect((await piped(">/dev/full 2>/dev/full", ...words)).code).toBe(8)
    },
  )

  test("that is not read to its end is not an error", async () => {
    expect(await piped("| true; exit ${PIPESTATUS[0]}", "list", "--all-vrfs")).toMatchObject({ code: 0, err: "" })
  })
})

/** Runs the command in a shell that redirects its output. */
const piped = async (
  where: string,
  ...words: ReadonlyArray<string>
): Promise<{ readonly code: number; readonly err: string }> => {
  const args = ["--conditions=@saga-ipam/source", main, ...words, "--url", database().url()]
  const child = spawn("bash", ["-c", `"$0" "$@" ${where}`, process.execPath, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
  })
  let err = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text))
  const code = await new Promise<number>((done) => child.on("close", (ended) => done(ended ?? -1)))
  return { code, err }
}

describe("an error names", () => {
  test.each([
    [["pool", "create", "x", "--range", "10.0.0.0/33"], /^--range: /],
    [["pool", "create", "x", "--range", "10.0.0.0/24", "--cooldown", "-1"], /^--cooldown: must be/],
    [["pool", "show", ""], /^pool: must not be empty/],
    [["extend", "--request", crypto.randomUUID(), "--ttl", "-1"], /^--ttl: must be/],
    [["list", "--pool", "a", "--address", "10.0.0.1"], /^--address: cannot go together with pool$/],
    [["list", "--all-vrfs", "--vrf", "a"], /^--all-vrfs: cannot/],
    [["reconcile", "--owners", "x", "--rate", "0"], /^--rate: /],
    [["reconcile", "--owners", "x", "--max-share", "2"], /^--max-share: /],
  ])("the flag of the command line: %s", async (words, message) => {
    expect(await refusal(...words)).toMatchObject({ code: 2, message: expect.stringMatching(message) as unknown })
  })

  test("the flag that helps", async () => {
    await answer("pool", "create", "helped", "--vrf", "helped", "--range", "10.7.0.0/24")
    const asked = [
      "allocate",
      "--vrf",
      "helped",
      "--pool",
      "helped",
      "--request",
      crypto.randomUUID(),
      "--address",
      "10.7.0.0",
    ]
    expect(await refusal(...asked)).toMatchObject({
      error: "AddressReserved",
      message: expect.stringMatching(/; only a request with --allow-reserved can have it$/) as unknown,
    })
  })

  test("the slots that the request has", async () => {
    await answer("pool", "create", "named", "--vrf", "named", "--range", "10.7.0.0/24")
    const request = ["--vrf", "named", "--request", crypto.randomUUID()]
    await answer("allocate", "--pool", "named", ...request, "--slot", "eth0/v4")
    expect(await refusal("get", ...request)).toMatchObject({
      code: 3,
      slots: ["eth0/v4"],
      message: expect.stringMatching(/; the request has slot "eth0\/v4"$/) as unknown,
    })
  })

  test("the difference to an existing pool, and how many allocations of an exhausted pool have expired", async () => {
    const small = ["pool", "create", "small", "--vrf", "small", "--range", "10.8.0.1"]
    await answer(...small)
    expect(await refusal(...small, "--cooldown", "5")).toMatchObject({
      error: "PoolExists",
      differs: ["cooldownSeconds"],
      message: expect.stringMatching(/it differs in --cooldown$/) as unknown,
    })
    const take = () => ["allocate", "--vrf", "small", "--pool", "small", "--request", crypto.randomUUID()]
    await answer(...take(), "--ttl", "0.000001")
    expect(await refusal(...take())).toMatchObject({
      code: 4,
      expired: "1",
      message: expect.stringMatching(/1 held, at least 1 of them past their ttl, which reclaim frees/) as unknown,
    })
  })
})

test("tables that contradict each other end a command with 7, and the error names the doctor", async () => {
  const take = () => ["--pool", "drifted", "--vrf", "drifted", "--request", crypto.randomUUID()]
  await answer("pool", "create", "drifted", "--vrf", "drifted", "--range", "10.9.0.0/30")
  await answer("allocate", ...take())
  await database()
    .session()
    .run("update ipam.free_extent set next = '10.9.0.1' where vrf = 'drifted' and last = '10.9.0.2'")
  const { code, err } = await cli("allocate", ...take())
  expect(code).toBe(7)
  expect(err).toMatch(/^saga-ipam: Drifted: .*run `saga-ipam doctor`\n$/)
})
