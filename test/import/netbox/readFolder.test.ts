import * as Effect from "effect/Effect"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { InvalidInput } from "../../../src/errors/errors.ts"
import { readFolder } from "../../../src/import/netbox/readFolder.ts"
import { address, filesOf, prefix, range, useFolders, vrf } from "./exports.ts"

const makeFolder = useFolders()

const read = (folder: string) => Effect.runPromise(readFolder(folder))
const validFiles = filesOf({
  vrfs: [vrf(1, "blue")],
  prefixes: [prefix(1, "10.0.0.0/24", "active", 1)],
  ranges: [range(1, "10.0.0.10/24", "10.0.0.20/24")],
  addresses: [address(1, "10.0.0.5/22")],
})

/** The error for a folder in which these files replace the valid ones. */
const refusal = async (files: Readonly<Record<string, string>>) => {
  const folder = await makeFolder({ ...validFiles, ...files })
  const error: unknown = await read(folder).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(InvalidInput)
  return error as InvalidInput
}

describe("an export", () => {
  test("is read alike from bare lists and from pages of the REST API, with or without a byte order mark", async () => {
    const page = (file: string) =>
      `\uFEFF${JSON.stringify({ count: 1, next: null, previous: null, results: JSON.parse(validFiles[file] ?? "") })}`
    const pages = await makeFolder(Object.fromEntries(Object.keys(validFiles).map((file) => [file, page(file)])))
    const lists = await read(await makeFolder(validFiles))
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

  test("may consist of several files, of pages, of one entry, or of pages joined by jq -s; an entry found twice counts once", async () => {
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
      "notes.json": "not an export",
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

  test("may lack fields that an import does not need, and have fields that are unknown", async () => {
    const [status, required] = [{ value: "active" }, { id: 1, vrf: null }]
    const bare = filesOf({
      vrfs: [{ id: 1, name: "blue", later: { version: [] } }],
      prefixes: [{ ...required, status, prefix: "10.0.0.0/24" }],
      ranges: [
        { ...required, status: { ...status, color: "red" }, start_address: "10.0.0.1/24", end_address: "10.0.0.1/24" },
      ],
      addresses: [{ ...required, status, address: "10.0.0.5/22", assigned_object_id: 5 }],
    })
    expect(await read(await makeFolder(bare))).toMatchObject({ addresses: [{ owner: null }] })
  })

  test.each([
    ["an object", { value: "dhcp", label: "DHCP" }, "dhcp"],
    ["an object with a number, as before 2.7", { value: 5, label: "DHCP" }, "dhcp"],
    ["a name, as in Nautobot", { id: "1d7c2f04-6a0e-4b52-8d5e-2b7c0e6f1a11", name: "DHCP" }, "dhcp"],
    ["text", "dhcp", "dhcp"],
    ["a number", 5, "dhcp"],
    ["an unknown number", 77, "status 77"],
    ["a status of one's own", { value: "Quarantine", label: "Quarantine" }, "quarantine"],
  ])("may have as status %s", async (_, status, expected) => {
    const folder = await makeFolder({
      ...validFiles,
      ...filesOf({ prefixes: [prefix(1, "10.0.0.0/24")], addresses: [{ ...anyAddress, status }] }),
    })
    expect((await read(folder)).addresses).toMatchObject([{ status: expected }])
  })

  test("must have IP ranges only since NetBox 3.0, and needs no file of VRFs if other entries name them", async () => {
    const { "ip-ranges.json": ranges, "vrfs.json": vrfs, ...rest } = validFiles
    const { mark_utilized: _, ...old } = prefix(1, "10.0.0.0/24")
    const folder = await makeFolder({ ...rest, "prefixes.json": JSON.stringify([old]) })
    expect(await read(folder)).toMatchObject({ ranges: [], vrfs: undefined })
    const later = await makeFolder({ ...rest, ...(vrfs === undefined ? {} : { "vrfs.json": vrfs }) })
    await expect(read(later)).rejects.toMatchObject({
      field: "ip-ranges.json",
      message: expect.stringContaining("3.0 and later"),
    })
    expect(ranges).toBeDefined()
  })
})

describe("a folder", () => {
  test("that does not exist, is a file, or lacks a file is refused, with its name", async () => {
    const folder = await makeFolder({ "vrfs.json": "[]" })
    await expect(read(join(folder, "none"))).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "folder",
      message: expect.stringContaining("does not exist"),
    })
    await expect(read(join(folder, "vrfs.json"))).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "folder",
      message: expect.stringContaining("is not a folder"),
    })
    await expect(read(folder)).rejects.toMatchObject({
      _tag: "InvalidInput",
      field: "prefixes.json",
      message: "prefixes.json: does not exist",
    })
  })

  test.each([
    ["is not JSON", "{", "is not valid JSON"],
    ["is empty", "", "is not valid JSON"],
    ["holds a value", "7", "must be a list of entries"],
    ["holds null", "null", "must be a list of entries"],
    ["holds another object", '{"detail":"Authentication credentials were not provided."}', "must be a list of entries"],
    [
      "holds one page of several",
      '{"count":2,"next":"https://n/?offset=1","results":[]}',
      "states 2 entries in all, but the folder has 0",
    ],
    [
      "is the first page of several without a count",
      '{"next":"https://n/?offset=1","results":[]}',
      "names a next page",
    ],
    [
      "has fewer entries than its page states",
      '{"count":2,"next":null,"results":[]}',
      "states 2 entries in all, but the folder has 0",
    ],
    [
      "has pages that state different totals",
      '[{"count":2,"next":"n","results":[]},{"count":1,"next":null,"results":[]}]',
      "its pages state 2 and 1 entries in all",
    ],
  ])("with a file that %s is refused, with the name of the file", async (_, text, reason) => {
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

/** Malformed entries, each with the field and the reason that the error must name. */
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
  ["prefixes.json", { ...anyPrefix, prefix: "10.0.0.0" }, "prefix", "with a prefix length"],
  ["prefixes.json", { ...anyPrefix, prefix: "10.0.0.0/33" }, "prefix", "no valid prefix length"],
  ["prefixes.json", { ...anyPrefix, prefix: "010.0.0.0/8" }, "prefix", "leading zeros"],
  ["prefixes.json", { ...anyPrefix, is_pool: "yes" }, "is_pool", "must be true or false"],
  ["ip-ranges.json", without(anyRange, "end_address"), "end_address", "is missing"],
  ["ip-ranges.json", { ...anyRange, end_address: "10.0.0.0/24" }, "end_address", "must not come before"],
  ["ip-ranges.json", { ...anyRange, end_address: "2001:db8::1/64" }, "end_address", "same family"],
  ["ip-ranges.json", { ...anyRange, start_address: "x/24" }, "start_address", "is not an IP address"],
  ["ip-addresses.json", without(anyAddress, "address"), "address", "is missing"],
  ["ip-addresses.json", { ...anyAddress, address: "10.0.0.5" }, "address", "with a prefix length"],
  ["ip-addresses.json", { ...anyAddress, address: "2001:db8::1/129" }, "address", "no valid prefix length"],
  ["ip-addresses.json", { ...anyAddress, address: "2001:db8::1::/64" }, "address", "is not an IPv6 address"],
  ["ip-addresses.json", { ...anyAddress, assigned_object_type: "a/b" }, "assigned_object_type", "slash"],
  ["ip-addresses.json", { ...anyAddress, assigned_object_type: 5 }, "assigned_object_type", "must be text"],
  ["ip-addresses.json", { ...anyAddress, assigned_object_id: -1 }, "assigned_object_id", "whole number"],
]

describe("a malformed entry is refused with its file, index, id and field", () => {
  const cases = malformed.map(([file, entry, field, reason]) => [file, field, reason, entry] as const)
  test.each(cases)("%s: %s %s", async (file, field, reason, entry) => {
    const good: ReadonlyArray<unknown> = JSON.parse(validFiles[file] ?? "")
    const error = await refusal({ [file]: JSON.stringify([...good, entry, ...good]) })
    expect(error.field).toBe(`${file}[1]${field === "" ? "" : `.${field}`}`)
    const id = (entry as { readonly id?: unknown } | null)?.id
    const named = id === undefined ? "" : ` (id ${JSON.stringify(id)})`
    expect(error.message).toContain(`${file}, entry 1${named}: ${field}`)
    expect(error.message).toContain(reason)
  })
})
