/** `saga-ipam import`: its output and exit codes. What an import does is tested in test/import. */
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { useDatabase } from "../harness/database.ts"
import { address, filesOf, prefix, range, useFolders, vrf } from "../import/netbox/exports.ts"
import { useCommand, type Ended } from "./command.ts"

const database = useDatabase()
const makeFolder = useFolders()
const { cli } = useCommand(database, "ipam_operator")

const importNetbox = (folder: string, ...more: ReadonlyArray<string>): Promise<Ended> =>
  cli("import", "netbox", folder, ...more)

const raw = {
  vrfs: [vrf(1, "blue")],
  prefixes: [
    prefix(1, "10.0.0.0/24", "active", 1),
    prefix(2, "10.0.0.0/8", "container", 1),
    prefix(3, "10.0.0.0/25", "active", 1),
  ],
  ranges: [range(1, "10.0.0.10/24", "10.0.0.19/24", "reserved", 1)],
  addresses: [address(1, "10.0.0.5/22", "active", 1)],
}

test("an import prints one JSON object: what it created, what existed already, and what it skipped, with reasons", async () => {
  const folder = await makeFolder(filesOf(raw))
  const first = await importNetbox(folder, "--json")
  expect({ code: first.code, err: first.err, lines: first.out.split("\n").length }).toEqual({
    code: 0,
    err: "",
    lines: 2,
  })
  const none = { pools: [], reservations: [], allocations: [] }
  const made = {
    pools: [
      { file: "prefixes.json", index: 0, id: 1, vrf: "blue", pool: "10.0.0.0/24", includeNetworkAddresses: false },
    ],
    reservations: [
      {
        file: "ip-ranges.json",
        index: 0,
        id: 1,
        vrf: "blue",
        pool: "10.0.0.0/24",
        range: "10.0.0.10-10.0.0.19",
        reason: "import netbox: range 1 is reserved",
      },
    ],
    allocations: [
      {
        file: "ip-addresses.json",
        index: 0,
        id: 1,
        vrf: "blue",
        pool: "10.0.0.0/24",
        address: "10.0.0.5",
        requestId: "80cd7864-63dd-8a68-91f0-b25f332cdb88",
        slot: "10.0.0.5",
        owner: null,
      },
    ],
  }
  const left = [
    { file: "prefixes.json", index: 1, id: 2, vrf: "blue", what: "10.0.0.0/8", reason: "container" },
    { file: "prefixes.json", index: 2, id: 3, vrf: "blue", what: "10.0.0.0/25", reason: "nested" },
  ]
  const rest = { source: "netbox", dryRun: false, complete: true, moved: [], taken: [], missing: [], unprotected: [] }
  expect(JSON.parse(first.out)).toEqual({
    ...rest,
    made,
    existing: none,
    left: left.map((one) => expect.objectContaining(one)),
  })
  const second = await importNetbox(folder, "--json")
  expect(second.code).toBe(0)
  expect(JSON.parse(second.out)).toMatchObject({ made: none, existing: made, left })
})

test("for people it prints tables of at most twenty rows, without containers; it ends with 5 if something is not protected", async () => {
  const few = await importNetbox(await makeFolder(filesOf(raw)))
  expect({ code: few.code, err: few.err }).toEqual({ code: 0, err: "" })
  expect(few.out).toMatch(/^WHAT +CREATED +EXISTING\npools +\d +\d\nreservations +\d +\d\nallocations +\d +\d\n/)
  expect(few.out).toContain("Skipped 2: 1 container, 1 nested.")
  expect(few.out).not.toContain("NOT PROTECTED")
  expect(few.out).toMatch(/\nprefixes\.json +2 +3 +blue +10\.0\.0\.0\/25 +nested +it lies in pool 10\.0\.0\.0\/24\n/)
  expect(few.out).not.toContain("10.0.0.0/8")
  const addresses = Array.from({ length: 30 }, (_, at) => address(at + 1, `10.9.9.${at}/24`))
  const folder = await makeFolder(filesOf({ addresses }))
  const many = await importNetbox(folder)
  expect({ code: many.code, err: many.err }).toEqual({ code: 5, err: "" })
  expect(many.out).toContain("NOT PROTECTED: occupied in the source, neither held nor reserved (30):")
  expect(many.out.match(/ outside /g)).toHaveLength(20)
  expect(many.out).toContain("... and 10 more; --json lists all.")
  const json = await importNetbox(folder, "--json")
  expect(json.code).toBe(5)
  expect(JSON.parse(json.out)).toMatchObject({
    complete: false,
    unprotected: addresses.map(({ id }) => ({ id, reason: "outside" })),
  })
  expect((await importNetbox(folder, "--allow-outside")).code).toBe(0)
  expect((await importNetbox(await makeFolder(filesOf({})), "--source", "nothing")).out).toContain(
    "Nothing was skipped.",
  )
})

test("a dry run changes nothing; what is no longer in the source is listed, and released only with --release-missing", async () => {
  const source = ["--source", "another"]
  const before = { prefixes: [prefix(1, "10.7.0.0/24")], addresses: [address(1, "10.7.0.5/24")] }
  const dry = await importNetbox(await makeFolder(filesOf(before)), "--dry-run", ...source)
  expect(dry).toMatchObject({ code: 0, err: "" })
  expect(dry.out).toMatch(/^A dry run: nothing was changed\.\n\nWHAT +TO CREATE +EXISTING\npools +1 +0\n/)
  const list = () => cli("list", "--prefix", "10.7.0.0/24")
  expect((await list()).out).not.toContain("10.7.0.5")
  expect((await importNetbox(await makeFolder(filesOf(before)), ...source)).code).toBe(0)
  const folder = await makeFolder(filesOf({ ...before, addresses: [] }))
  const kept = await importNetbox(folder, ...source)
  expect(kept.out).toMatch(
    /No longer in the source, kept \(1\):\nWHAT .*\nallocation +default +10\.7\.0\.0\/24 +10\.7\.0\.5 +nobody/,
  )
  expect((await list()).out).toContain("10.7.0.5")
  expect((await importNetbox(folder, "--release-missing", ...source)).out).toContain(
    "No longer in the source, released (1):",
  )
  expect((await list()).out).not.toContain("10.7.0.5")
})

test("import csv reads a table, and prints a template of one", async () => {
  const template = await cli("import", "csv", "--template")
  expect(template).toMatchObject({ code: 0, err: "" })
  expect(template.out.split("\n")[0]).toBe("vrf,pool or prefix,address,owner kind,owner id,status,description")
  const folder = await makeFolder({
    "addresses.csv": template.out,
    "bad.csv": `${template.out}default,,10.0.0.x,,,,\n`,
  })
  const first = await cli("import", "csv", join(folder, "addresses.csv"), "--json")
  expect({ code: first.code, err: first.err }).toEqual({ code: 0, err: "" })
  expect(JSON.parse(first.out)).toMatchObject({
    source: "csv",
    complete: true,
    made: {
      pools: [{ id: 2, vrf: "default", pool: "10.0.0.0/24" }],
      allocations: [{ id: 3, address: "10.0.0.5", owner: { kind: "instance", id: "i-1" } }],
      reservations: [
        { id: 4, range: "10.0.0.6", reason: "import csv: address 4 is reserved: never handed out" },
        {
          id: 5,
          range: "10.0.0.128-10.0.0.191",
          reason: "import csv: range 5 is dhcp: a range is never handed out either",
        },
      ],
    },
  })
  const bad = await cli("import", "csv", join(folder, "bad.csv"), "--json")
  expect({ code: bad.code, out: bad.out }).toEqual({ code: 2, out: "" })
  expect(JSON.parse(bad.err)).toMatchObject({ error: "InvalidInput", field: "bad.csv[4].address" })
  expect((await cli("import", "csv")).code).toBe(2)
})

describe("what is occupied in the source", () => {
  /** Allocates three times from the pool; returns the address or the name of the error each time. */
  const handedOut = async (pool: string, vrf = "default"): Promise<ReadonlyArray<string>> => {
    const given: Array<string> = []
    for (const request of [1, 2, 3].map(() => crypto.randomUUID())) {
      const { out, err } = await cli("allocate", "--vrf", vrf, "--pool", pool, "--request", request, "--json")
      const answer = JSON.parse(out === "" ? err : out) as { readonly address?: string; readonly error?: string }
      given.push(answer.address ?? answer.error ?? "")
    }
    return given
  }
  const source = (name: string) => ["--source", name]

  test("is not handed out, whatever its status", async () => {
    const folder = await makeFolder(
      filesOf({
        prefixes: [prefix(1, "10.21.0.0/29")],
        ranges: [range(1, "10.21.0.2/29", "10.21.0.3/29", "active")],
        addresses: [address(1, "10.21.0.1/29", "dhcp"), address(2, "10.21.0.4/29", "deprecated")],
      }),
    )
    expect(await importNetbox(folder, ...source("status"))).toMatchObject({ code: 0, err: "" })
    expect(await handedOut("10.21.0.0/29")).toEqual(["10.21.0.5", "10.21.0.6", "PoolExhausted"])
  })

  test("is not handed out of a pool that was created by hand before", async () => {
    expect((await cli("pool", "create", "hand", "--range", "10.22.0.0/29")).code).toBe(0)
    const addresses = [1, 2, 3].map((id) => address(id, `10.22.0.${id}/29`))
    const folder = await makeFolder(filesOf({ prefixes: [prefix(1, "10.22.0.0/29")], addresses }))
    expect(await importNetbox(folder, ...source("hand"))).toMatchObject({ code: 0, err: "" })
    expect(await handedOut("hand")).toEqual(["10.22.0.4", "10.22.0.5", "10.22.0.6"])
  })

  test("is read from pages in several files, with statuses as plain text", async () => {
    const page = (next: string | null, ...results: ReadonlyArray<object>) =>
      JSON.stringify({ count: 2, next, previous: null, results })
    const plain = (id: number) => address(id, `10.23.0.${id}/29`, "active", null, { status: "active" })
    const folder = await makeFolder({
      ...filesOf({ prefixes: [prefix(1, "10.23.0.0/29")] }),
      "ip-addresses.json": page("https://netbox.example/?offset=1", plain(1)),
      "ip-addresses-2.json": page(null, plain(2)),
    })
    expect(await importNetbox(folder, ...source("pages"))).toMatchObject({ code: 0, err: "" })
    expect(await handedOut("10.23.0.0/29")).toEqual(["10.23.0.3", "10.23.0.4", "10.23.0.5"])
  })

  test("is imported into VRFs of the same name, told apart by route distinguisher; exit code 5 if no pool has it", async () => {
    const raw = {
      vrfs: [vrf(1, "twin"), vrf(2, "twin")],
      prefixes: [prefix(1, "10.24.0.0/29", "active", 1), prefix(2, "10.24.0.0/29", "active", 2)],
      addresses: [address(1, "10.24.0.1/29", "active", 2)],
    }
    expect(await importNetbox(await makeFolder(filesOf(raw)), ...source("twins"))).toMatchObject({ code: 0, err: "" })
    expect((await handedOut("10.24.0.0/29", "twin (65000:1)"))[0]).toBe("10.24.0.1")
    expect((await handedOut("10.24.0.0/29", "twin (65000:2)"))[0]).toBe("10.24.0.2")
    const more = { ...raw, addresses: [...raw.addresses, address(2, "10.24.1.1/29", "active", 2)] }
    expect((await importNetbox(await makeFolder(filesOf(more)), ...source("twins"))).code).toBe(5)
  })
})

test("malformed input ends with 2, with the file, the entry and the field, and without a stack", async () => {
  const folder = await makeFolder(filesOf({ ...raw, addresses: [address(1, "10.0.0.6/24"), { id: 7, vrf: null }] }))
  const json = await importNetbox(folder, "--json")
  expect({ code: json.code, out: json.out }).toEqual({ code: 2, out: "" })
  expect(JSON.parse(json.err)).toEqual({
    error: "InvalidInput",
    field: "ip-addresses.json[1].status",
    message: "ip-addresses.json, entry 1 (id 7): status: is missing",
  })
  const text = await importNetbox(folder)
  expect(text).toMatchObject({
    code: 2,
    out: "",
    err: "saga-ipam: InvalidInput: ip-addresses.json, entry 1 (id 7): status: is missing\n",
  })
  const nowhere = await importNetbox(join(folder, "none"))
  expect(nowhere).toMatchObject({ code: 2, out: "" })
  expect(nowhere.err).toMatch(/^saga-ipam: InvalidInput: folder: ".*none" does not exist\n$/)
})
