import * as Effect from "effect/Effect"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { InvalidInput } from "../../../src/errors/errors.ts"
import { readFolder } from "../../../src/import/netbox/readFolder.ts"
import { address, filesOf, prefix, range, useFolders, vrf } from "./exports.ts"

const makeFolder = useFolders()

const read = (folder: string) => Effect.runPromise(readFolder(folder))
const whole = filesOf({
  vrfs: [vrf(1, "blue")],
  prefixes: [prefix(1, "10.0.0.0/24", "active", 1)],
  ranges: [range(1, "10.0.0.10/24", "10.0.0.20/24")],
  addresses: [address(1, "10.0.0.5/22")],
})

/** What a folder is refused with whose files are these instead. */
const refusal = async (files: Readonly<Record<string, string>>) => {
  const folder = await makeFolder({ ...whole, ...files })
  const error: unknown = await read(folder).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(InvalidInput)
  return error as InvalidInput
}

describe("an export", () => {
  test("is read from bare lists and from whole pages of the REST API, with or without a byte order mark", async () => {
    const page = (file: string) =>
      `\uFEFF${JSON.stringify({ count: 1, next: null, previous: null, results: JSON.parse(whole[file] ?? "") })}`
    const pages = await makeFolder(Object.fromEntries(Object.keys(whole).map((file) => [file, page(file)])))
    const lists = await read(await makeFolder(whole))
    expect(await read(pages)).toEqual(lists)
    expect(lists).toMatchObject({
      vrfs: [{ file: "vrfs.json", index: 0, id: 1, name: "blue", rd: "65000:1" }],
      prefixes: [
        { index: 0, text: "10.0.0.0/24", space: { kind: "vrf", id: 1 }, status: "active", isPool: false, full: false },
      ],
      ranges: [{ text: "10.0.0.10/24-10.0.0.20/24", space: null, status: "reserved", open: false }],
      addresses: [{ text: "10.0.0.5/22", space: null, owner: null }],
    })
  })

  test("may come in several files, as pages, as one entry, or as jq -s makes them of pages; what is in two of them counts once", async () => {
    const page = (count: number, next: string | null, ...results: ReadonlyArray<unknown>) => ({
      count,
      next,
      previous: null,
      results,
    })
    const [a, b, c] = [1, 2, 3].map((id) => address(id, `10.0.0.${id}/24`))
    const [p, q, r] = [1, 2, 3].map((id) => prefix(id, `10.${id}.0.0/24`))
    const folder = await makeFolder({
      "vrfs.json": JSON.stringify(vrf(1, "blue")),
      "prefixes.json": JSON.stringify(page(3, "https://n/?offset=2", p, q)),
      "prefixes-2.json": JSON.stringify(page(3, null, q, r)),
      "ip_addresses_all.json": JSON.stringify([page(3, "https://n/?offset=2", a, b), page(3, null, c)]),
      "ip-ranges.json": JSON.stringify([[range(1, "10.0.0.10/24", "10.0.0.20/24")], []]),
      "notes.json": "no export at all",
    })
    const found = await read(folder)
    expect(found.vrfs?.map(({ name }) => name)).toEqual(["blue"])
    expect(found.prefixes.map(({ file, index, id }) => `${file} ${index} ${id}`)).toEqual([
      "prefixes-2.json 0 2",
      "prefixes-2.json 1 3",
      "prefixes.json 0 1",
    ])
    expect(found.addresses.map(({ id }) => id)).toEqual([1, 2, 3])
    expect(found.ranges.map(({ id }) => id)).toEqual([1])
  })

  test("needs no field that decides nothing, and minds none that it does not know", async () => {
    const [status, place] = [{ value: "active" }, { id: 1, vrf: null }]
    const bare = filesOf({
      vrfs: [{ id: 1, name: "blue", later: { version: [] } }],
      prefixes: [{ ...place, status, prefix: "10.0.0.0/24" }],
      ranges: [
        { ...place, status: { ...status, color: "red" }, start_address: "10.0.0.1/24", end_address: "10.0.0.1/24" },
      ],
      addresses: [{ ...place, status, address: "10.0.0.5/22", assigned_object_id: 5 }],
    })
    expect(await read(await makeFolder(bare))).toMatchObject({ addresses: [{ owner: null }] })
  })

  test.each([
    ["an object", { value: "dhcp", label: "DHCP" }, "dhcp"],
    ["an object with a number, as before 2.7", { value: 5, label: "DHCP" }, "dhcp"],
    ["a name, as in Nautobot", { id: "1d7c2f04-6a0e-4b52-8d5e-2b7c0e6f1a11", name: "DHCP" }, "dhcp"],
    ["text", "dhcp", "dhcp"],
    ["a number", 5, "dhcp"],
    ["a number that nobody knows", 77, "status 77"],
    ["a status of their own", { value: "Quarantine", label: "Quarantine" }, "quarantine"],
  ])("may have as status %s", async (_, status, expected) => {
    const folder = await makeFolder({
      ...whole,
      ...filesOf({ prefixes: [prefix(1, "10.0.0.0/24")], addresses: [{ ...anyAddress, status }] }),
    })
    expect((await read(folder)).addresses).toMatchObject([{ status: expected }])
  })

  test("has IP ranges only since NetBox 3.0, and no file of VRFs where entries name theirs", async () => {
    const { "ip-ranges.json": ranges, "vrfs.json": vrfs, ...rest } = whole
    const { mark_utilized: _, ...old } = prefix(1, "10.0.0.0/24")
    const folder = await makeFolder({ ...rest, "prefixes.json": JSON.stringify([old]) })
    expect(await read(folder)).toMatchObject({ ranges: [], vrfs: undefined })
    const later = await makeFolder({ ...rest, ...(vrfs === undefined ? {} : { "vrfs.json": vrfs }) })
    await expect(read(later)).rejects.toMatchObject({
      field: "ip-ranges.json",
      message: expect.stringContaining("since 3.0"),
    })
    expect(ranges).toBeDefined()
  })
})

describe("a folder", () => {
  test("that is not there, is a file, or lacks a file is refused, naming it", async () => {
    const folder = await makeFolder({ "vrfs.json": "[]" })
    await expect(read(join(folder, "none"))).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "folder",
      message: expect.stringContaining("is not there"),
    })
    await expect(read(join(folder, "vrfs.json"))).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "folder",
      message: expect.stringContaining("is no folder"),
    })
    await expect(read(folder)).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "prefixes.json",
      message: "prefixes.json: is not there",
    })
  })

  test.each([
    ["is not JSON", "{", "is not JSON"],
    ["is empty", "", "is not JSON"],
    ["holds a value", "7", "must be a list of entries"],
    ["holds null", "null", "must be a list of entries"],
    ["holds another object", '{"detail":"Authentication credentials were not provided."}', "must be a list of entries"],
    [
      "holds one page of several",
      '{"count":2,"next":"https://n/?offset=1","results":[]}',
      "says that there are 2 entries, and 0 are here",
    ],
    [
      "is the first page of those that tell no count",
      '{"next":"https://n/?offset=1","results":[]}',
      "says that there are more",
    ],
    ["lost entries", '{"count":2,"next":null,"results":[]}', "says that there are 2 entries, and 0 are here"],
    [
      "has pages of two times",
      '[{"count":2,"next":"n","results":[]},{"count":1,"next":null,"results":[]}]',
      "its pages say that there are 2 and 1 entries",
    ],
  ])("with a file that %s is refused, naming the file", async (_, text, reason) => {
    const error = await refusal({ "ip-ranges.json": text })
    expect(error.field).toBe("ip-ranges.json")
    expect(error.message).toContain(`ip-ranges.json: ${reason}`)
  })
})

const [anyPrefix, anyRange, anyAddress] = [
  prefix(7, "10.0.0.0/24"),
  range(7, "10.0.0.1/24", "10.0.0.9/24"),
  address(7, "10.0.0.5/24"),
]
const without = (entry: object, field: string) =>
  Object.fromEntries(Object.entries(entry).filter(([key]) => key !== field))

/** A malformed entry, the field that is named, and why. */
const malformed: ReadonlyArray<readonly [file: string, entry: unknown, field: string, reason: string]> = [
  ["vrfs.json", 5, "", "must be an object"],
  ["vrfs.json", null, "", "must be an object"],
  ["vrfs.json", { name: "blue" }, "id", "is missing"],
  ["vrfs.json", { id: 7 }, "name", "is missing"],
  ["vrfs.json", { id: 7, name: "" }, "name", "must not be empty"],
  ["vrfs.json", { id: 7, name: "x".repeat(201) }, "name", "at most 200 characters"],
  ["vrfs.json", { id: "7", name: "blue" }, "id", "must be a whole number or a UUID"],
  ["vrfs.json", { id: 0, name: "blue" }, "id", "whole number"],
  ["vrfs.json", { id: 2 ** 60, name: "blue" }, "id", "whole number"],
  ["prefixes.json", without(anyPrefix, "prefix"), "prefix", "is missing"],
  ["prefixes.json", without(anyPrefix, "status"), "status", "is missing"],
  ["prefixes.json", without(anyPrefix, "vrf"), "vrf", "is missing"],
  ["prefixes.json", { ...anyPrefix, vrf: true }, "vrf", "has the wrong type"],
  ["prefixes.json", { ...anyPrefix, vrf: { name: "blue" } }, "vrf.id", "is missing"],
  ["prefixes.json", { ...anyPrefix, status: true }, "status", "must be an object"],
  ["prefixes.json", { ...anyPrefix, status: { id: 1 } }, "status.value", "is missing"],
  ["prefixes.json", { ...anyPrefix, prefix: 10 }, "prefix", "must be text"],
  ["prefixes.json", { ...anyPrefix, prefix: "10.0.0.1/24" }, "prefix", "has host bits set"],
  ["prefixes.json", { ...anyPrefix, prefix: "10.0.0.0" }, "prefix", "length of its mask"],
  ["prefixes.json", { ...anyPrefix, prefix: "10.0.0.0/33" }, "prefix", "no valid mask"],
  ["prefixes.json", { ...anyPrefix, prefix: "010.0.0.0/8" }, "prefix", "leading zeros"],
  ["prefixes.json", { ...anyPrefix, is_pool: "yes" }, "is_pool", "must be true or false"],
  ["ip-ranges.json", without(anyRange, "end_address"), "end_address", "is missing"],
  ["ip-ranges.json", { ...anyRange, end_address: "10.0.0.0/24" }, "end_address", "must not come before"],
  ["ip-ranges.json", { ...anyRange, end_address: "2001:db8::1/64" }, "end_address", "same family"],
  ["ip-ranges.json", { ...anyRange, start_address: "x/24" }, "start_address", "is not an IP address"],
  ["ip-addresses.json", without(anyAddress, "address"), "address", "is missing"],
  ["ip-addresses.json", { ...anyAddress, address: "10.0.0.5" }, "address", "length of its mask"],
  ["ip-addresses.json", { ...anyAddress, address: "2001:db8::1/129" }, "address", "no valid mask"],
  ["ip-addresses.json", { ...anyAddress, address: "2001:db8::1::/64" }, "address", "is not an IPv6 address"],
  ["ip-addresses.json", { ...anyAddress, assigned_object_type: "a/b" }, "assigned_object_type", "slash"],
  ["ip-addresses.json", { ...anyAddress, assigned_object_type: 5 }, "assigned_object_type", "must be text"],
  ["ip-addresses.json", { ...anyAddress, assigned_object_id: -1 }, "assigned_object_id", "whole number"],
]

describe("a malformed entry is named by its file, place, id and field", () => {
  const cases = malformed.map(([file, entry, field, reason]) => [file, field, reason, entry] as const)
  test.each(cases)("%s: %s %s", async (file, field, reason, entry) => {
    const good: ReadonlyArray<unknown> = JSON.parse(whole[file] ?? "")
    const error = await refusal({ [file]: JSON.stringify([...good, entry, ...good]) })
    expect(error.field).toBe(`${file}[1]${field === "" ? "" : `.${field}`}`)
    const id = (entry as { readonly id?: unknown } | null)?.id
    const named = id === undefined ? "" : ` (id ${JSON.stringify(id)})`
    expect(error.message).toContain(`${file}, entry 1${named}: ${field}`)
    expect(error.message).toContain(reason)
  })
})
