/** `saga-ipam import netbox`: what it prints, and how it ends. What it does is tested in test/netbox. */
import { join } from "node:path"
import { expect, test } from "vitest"
import { useDatabase } from "../harness/database.ts"
import { address, filesOf, prefix, range, useFolders, vrf } from "../netbox/exports.ts"
import { start, type Ended } from "./command.ts"

const database = useDatabase()
const makeFolder = useFolders()

const importNetbox = (folder: string, ...more: ReadonlyArray<string>): Promise<Ended> =>
  start(["import", "netbox", folder, ...more], { DATABASE_URL: database().url("ipam_operator") }).ended

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

test("an import is one JSON object: what was made, what was there already, and what was left, with reasons", async () => {
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
      { file: "ip-ranges.json", index: 0, id: 1, vrf: "blue", pool: "10.0.0.0/24", range: "10.0.0.10-10.0.0.19" },
    ],
    allocations: [
      {
        file: "ip-addresses.json",
        index: 0,
        id: 1,
        vrf: "blue",
        pool: "10.0.0.0/24",
        address: "10.0.0.5",
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        owner: null,
      },
    ],
  }
  const left = [
    { file: "prefixes.json", index: 1, id: 2, vrf: "blue", what: "10.0.0.0/8", reason: "container" },
    { file: "prefixes.json", index: 2, id: 3, vrf: "blue", what: "10.0.0.0/25", reason: "nested" },
  ]
  expect(JSON.parse(first.out)).toMatchObject({ made, existing: none, left })
  const second = await importNetbox(folder, "--json")
  expect(second.code).toBe(0)
  expect(JSON.parse(second.out)).toMatchObject({ made: none, existing: made, left })
})

test("for people it is a table, with what was left but for containers, and at most twenty of it", async () => {
  const few = await importNetbox(await makeFolder(filesOf(raw)))
  expect({ code: few.code, err: few.err }).toEqual({ code: 0, err: "" })
  expect(few.out).toMatch(/^WHAT +MADE +THERE ALREADY\npools +\d +\d\nreservations +\d +\d\nallocations +\d +\d\n/)
  expect(few.out).toContain("Left 2: 1 container, 1 nested.")
  expect(few.out).toMatch(
    /\nprefixes\.json +2 +3 +blue +10\.0\.0\.0\/25 +nested +it lies in the pool 10\.0\.0\.0\/24\n/,
  )
  expect(few.out).not.toContain("10.0.0.0/8")
  const addresses = Array.from({ length: 30 }, (_, at) => address(at + 1, `10.9.9.${at}/24`))
  const many = await importNetbox(await makeFolder(filesOf({ addresses })))
  expect(many.out.match(/ outside /g)).toHaveLength(20)
  expect(many.out).toContain("... and 10 more; --json lists all.")
  expect((await importNetbox(await makeFolder(filesOf({})))).out).toContain("Nothing was left.")
})

test("malformed input ends with 2, names the file, the entry and the field, and shows no stack", async () => {
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
  expect(nowhere.err).toMatch(/^saga-ipam: InvalidInput: folder: ".*none" is not there\n$/)
})
