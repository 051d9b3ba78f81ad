/** Builds NetBox entries as its REST API writes them, including fields that an import ignores, and folders of them. */
import * as Result from "effect/Result"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import type { Inventory } from "../../../src/import/inventory.ts"
import { readAddress, readPrefix, readRange, readSpace, type ReadEntry } from "../../../src/import/netbox/entries.ts"
import { toInventory } from "../../../src/import/netbox/toInventory.ts"
import { entriesOf, readEntries } from "../../../src/import/netbox/readFolder.ts"

export type Raw = Readonly<Record<string, unknown>>

/** The entries of an export, by kind. */
export interface RawExport {
  readonly vrfs?: ReadonlyArray<unknown>
  readonly prefixes?: ReadonlyArray<unknown>
  readonly ranges?: ReadonlyArray<unknown>
  readonly addresses?: ReadonlyArray<unknown>
}

const commonFields = (id: number, status: string, vrf: number | null): Raw => ({
  id,
  url: `https://netbox.example/api/${id}/`,
  vrf: vrf === null ? null : { id: vrf, name: "ignored", rd: null },
  status: { value: status, label: "any" },
  tenant: null,
  custom_fields: { cost: 7 },
})

export const vrf = (id: number, name: string): Raw => ({ id, name, rd: `65000:${id}`, enforce_unique: false })

export const prefix = (
  id: number,
  text: string,
  status = "active",
  vrf: number | null = null,
  more: Raw = {},
): Raw => ({
  ...commonFields(id, status, vrf),
  prefix: text,
  is_pool: false,
  mark_utilized: false,
  ...more,
})

export const range = (
  id: number,
  first: string,
  last: string,
  status = "reserved",
  vrf: number | null = null,
  more: Raw = {},
): Raw => ({
  ...commonFields(id, status, vrf),
  start_address: first,
  end_address: last,
  size: 0,
  ...more,
})

export const address = (
  id: number,
  text: string,
  status = "active",
  vrf: number | null = null,
  more: Raw = {},
): Raw => ({
  ...commonFields(id, status, vrf),
  address: text,
  role: null,
  assigned_object_type: null,
  assigned_object_id: null,
  dns_name: "",
  ...more,
})

/** Creates folders for the tests of a file, and removes them when the tests have ended. */
export const useFolders = (): ((files: Readonly<Record<string, string>>) => Promise<string>) => {
  const made: Array<string> = []
  afterAll(() => Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true }))))
  return async (files) => {
    const folder = await mkdtemp(join(tmpdir(), "ipam-netbox-"))
    made.push(folder)
    await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)))
    return folder
  }
}

/** The files of an export, each a bare list of entries. */
export const filesOf = ({
  vrfs = [],
  prefixes = [],
  ranges = [],
  addresses = [],
}: RawExport): Record<string, string> => ({
  "vrfs.json": JSON.stringify(vrfs),
  "prefixes.json": JSON.stringify(prefixes),
  "ip-ranges.json": JSON.stringify(ranges),
  "ip-addresses.json": JSON.stringify(addresses),
})

const read = <A>(file: string, raw: ReadonlyArray<unknown>, readEntry: ReadEntry<A>) =>
  Result.getOrThrow(readEntries(Result.getOrThrow(entriesOf(file, raw)).raws, readEntry))

/** The inventory that an import reads from these entries. */
export const inventoryFrom = ({ vrfs = [], prefixes = [], ranges = [], addresses = [] }: RawExport): Inventory =>
  toInventory({
    vrfs: read("vrfs.json", vrfs, readSpace),
    namespaces: undefined,
    prefixes: read("prefixes.json", prefixes, readPrefix),
    ranges: read("ip-ranges.json", ranges, readRange),
    addresses: read("ip-addresses.json", addresses, readAddress),
  })
