import * as Effect from "effect/Effect"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { InvalidInput } from "../../src/domain/errors.ts"
import { readFolder } from "../../src/netbox/readFolder.ts"
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
      vrfs: [{ id: 1, name: "blue" }],
      prefixes: [{ index: 0, text: "10.0.0.0/24", vrf: 1, status: "active", isPool: false, full: false }],
      ranges: [{ text: "10.0.0.10/24-10.0.0.20/24", vrf: null, status: "reserved" }],
      addresses: [{ text: "10.0.0.5/22", vrf: null, owner: undefined }],
    })
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
    expect(await read(await makeFolder(bare))).toMatchObject({ addresses: [{ owner: undefined }] })
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
    ["holds one page of several", '{"count":2,"next":"https://n/?offset=1","results":[]}', "is one page of several"],
    ["lost entries", '{"count":2,"next":null,"results":[]}', "says it has 2 entries, and has 0"],
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
  ["vrfs.json", { id: "7", name: "blue" }, "id", "must be a number"],
  ["vrfs.json", { id: 0, name: "blue" }, "id", "whole number"],
  ["vrfs.json", { id: 2 ** 60, name: "blue" }, "id", "whole number"],
  ["prefixes.json", without(anyPrefix, "prefix"), "prefix", "is missing"],
  ["prefixes.json", without(anyPrefix, "status"), "status", "is missing"],
  ["prefixes.json", without(anyPrefix, "vrf"), "vrf", "is missing"],
  ["prefixes.json", { ...anyPrefix, vrf: 5 }, "vrf", "must be an object"],
  ["prefixes.json", { ...anyPrefix, vrf: { name: "blue" } }, "vrf.id", "is missing"],
  ["prefixes.json", { ...anyPrefix, status: "active" }, "status", "must be an object"],
  ["prefixes.json", { ...anyPrefix, status: { value: 1 } }, "status.value", "must be text"],
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
