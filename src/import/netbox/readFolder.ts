/**
 * Reads a folder of NetBox or Nautobot REST exports. Everything is read and checked before anything is imported.
 *
 * Files are read one at a time, and only the fields that an import needs are kept: a file may be hundreds of megabytes of JSON.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { shown } from "../../domain/address.ts"
import { InvalidInput } from "../../errors/errors.ts"
import type { Origin } from "../inventory.ts"
import { readAddress, readPrefix, readRange, readSpace, type ReadEntry } from "./entries.ts"
import type { AddressEntry, PrefixEntry, RangeEntry, SpaceEntry } from "./entries.ts"

/** The entries of an export. A list is `undefined` if the export has no file of that kind. */
export interface Export {
  readonly vrfs: ReadonlyArray<Origin & SpaceEntry> | undefined
  readonly namespaces: ReadonlyArray<Origin & SpaceEntry> | undefined
  readonly prefixes: ReadonlyArray<Origin & PrefixEntry>
  readonly ranges: ReadonlyArray<Origin & RangeEntry>
  readonly addresses: ReadonlyArray<Origin & AddressEntry>
}

/** The names of the files of each kind, e.g. `prefixes.json` and `prefixes-2.json`. */
const patterns = {
  vrfs: /^vrfs.*\.json$/i,
  namespaces: /^namespaces.*\.json$/i,
  prefixes: /^prefixes.*\.json$/i,
  "ip-ranges": /^ip[-_]?ranges.*\.json$/i,
  "ip-addresses": /^ip[-_]?addresses.*\.json$/i,
} as const
type Kind = keyof typeof patterns

const wrong = (field: string, reason: string): InvalidInput =>
  new InvalidInput({ field, message: `${field}: ${reason}` })

const codeOf = (cause: unknown): string => (cause instanceof Error && "code" in cause ? String(cause.code) : "")

/** A phrase that says why a file or folder could not be read. */
const readFailure = (cause: unknown): string => {
  const code = codeOf(cause)
  if (code === "ENOENT") return "does not exist"
  if (code === "ENOTDIR") return "is not a folder"
  return `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A page of the REST API: the total number of entries that it states, and whether it names a next page. */
interface Page {
  readonly file: string
  readonly count: number | undefined
  readonly more: boolean
}

/** An entry as parsed JSON; `paged` if it comes from a page of the REST API. */
interface RawEntry {
  readonly file: string
  readonly index: number
  readonly raw: unknown
  readonly paged: boolean
}

/** The entries of one file: a list of entries, a page of the REST API, one entry, or a list of any of these, as `jq -s` makes it. */
export const entriesOf = (
  file: string,
  json: unknown,
): Result.Result<{ readonly raws: ReadonlyArray<RawEntry>; readonly pages: ReadonlyArray<Page> }, InvalidInput> => {
  const raws: Array<RawEntry> = []
  const pages: Array<Page> = []
  const add = (value: unknown, paged: boolean): void => {
    if (Array.isArray(value)) value.forEach((one: unknown) => add(one, paged))
    else if (isObject(value) && Array.isArray(value["results"])) {
      const { count, next } = value
      pages.push({ file, count: typeof count === "number" ? count : undefined, more: (next ?? null) !== null })
      value["results"].forEach((one: unknown) => add(one, true))
    } else raws.push({ file, index: raws.length, raw: value, paged })
  }
  const isKnownShape = Array.isArray(json) || (isObject(json) && (Array.isArray(json["results"]) || "id" in json))
  if (!isKnownShape) {
    return Result.fail(
      wrong(file, `must be a list of entries, a page of them (an object with "results"), or one entry`),
    )
  }
  add(json, false)
  return Result.succeed({ raws, pages })
}

/** ` (id 7)`, or nothing for an entry without an id. */
const idIn = (raw: unknown): string =>
  isObject(raw) && (typeof raw["id"] === "number" || typeof raw["id"] === "string")
    ? ` (id ${typeof raw["id"] === "string" ? shown(raw["id"]) : raw["id"]})`
    : ""

/** Parses entries. Fails at the first malformed one, naming the field, e.g. `prefixes.json[3].status.value`, and the entry's id. */
export const readEntries = <A>(
  raws: ReadonlyArray<RawEntry>,
  read: ReadEntry<A>,
): Result.Result<ReadonlyArray<Origin & A>, InvalidInput> => {
  const entries: Array<Origin & A> = []
  for (const { file, index, raw } of raws) {
    const entry = read(raw)
    if (Result.isFailure(entry)) {
      const { field, message } = entry.failure
      return Result.fail(
        new InvalidInput({
          field: `${file}[${index}]${field === "" ? "" : `.${field}`}`,
          message: `${file}, entry ${index}${idIn(raw)}: ${field === "" ? "must be an object" : message}`,
        }),
      )
    }
    entries.push({ file, index, ...entry.success } as Origin & A)
  }
  return Result.succeed(entries)
}

/** The error if pages are missing: an import would take their entries for deleted. `read`: how many paged entries there are. */
const missingPages = (pages: ReadonlyArray<Page>, read: number): InvalidInput | undefined => {
  const [first] = pages
  if (first === undefined) return undefined
  const counts = new Set(pages.flatMap(({ count }) => count ?? []))
  const [count = 0] = counts
  if (counts.size > 1) {
    return wrong(
      first.file,
      `its pages state ${[...counts].join(" and ")} entries in all: the data changed during the export; export it again`,
    )
  }
  if (counts.size === 0 ? pages.every(({ more }) => more) : read < count) {
    const stated = counts.size === 0 ? "names a next page" : `states ${count} entries in all`
    return wrong(first.file, `${stated}, but the folder has ${read}; add the other pages, e.g. as prefixes-2.json`)
  }
  return undefined
}

const readKind = Effect.fnUntraced(function* <A>(
  folder: string,
  names: ReadonlyArray<string>,
  kind: Kind,
  read: ReadEntry<A>,
) {
  const files = names
    .filter((name) => patterns[kind].test(name))
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))
  if (files.length === 0) return undefined
  const entries: Array<Origin & A> = []
  const pages: Array<Page> = []
  const seen = new Set<string>()
  const paged = new Set<string>()
  for (const file of files) {
    const text = yield* Effect.tryPromise({
      try: () => readFile(join(folder, file), "utf8"),
      catch: (cause) => wrong(file, readFailure(cause)),
    })
    const json = yield* Effect.try({
      try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
      catch: (cause) => wrong(file, `is not valid JSON: ${cause instanceof Error ? cause.message : String(cause)}`),
    })
    const { raws, pages: pagesOfFile } = yield* Effect.fromResult(entriesOf(file, json))
    pages.push(...pagesOfFile)
    // Pages overlap if an object was deleted while they were exported: an identical entry counts once.
    const fresh = raws.filter(({ raw, paged: isPaged }) => {
      const text = JSON.stringify(raw)
      if (isPaged) paged.add(isObject(raw) && "id" in raw ? String(raw["id"]) : text)
      return !seen.has(text) && seen.add(text)
    })
    for (const entry of yield* Effect.fromResult(readEntries(fresh, read))) entries.push(entry)
  }
  const missing = missingPages(pages, paged.size)
  return missing === undefined ? entries : yield* missing
})

/** Reads all files of the folder. Fails with `InvalidInput` that names the file, the entry and the field. */
export const readFolder = Effect.fn("netbox.readFolder")(function* (
  folder: string,
): Effect.fn.Return<Export, InvalidInput> {
  const names = yield* Effect.tryPromise({
    try: () => readdir(folder),
    catch: (cause) => wrong("folder", `${shown(folder)} ${readFailure(cause)}`),
  })
  const [vrfs, namespaces, prefixes, ranges, addresses] = [
    yield* readKind(folder, names, "vrfs", readSpace),
    yield* readKind(folder, names, "namespaces", readSpace),
    yield* readKind(folder, names, "prefixes", readPrefix),
    yield* readKind(folder, names, "ip-ranges", readRange),
    yield* readKind(folder, names, "ip-addresses", readAddress),
  ]
  // A missing file would be taken for a source without such objects: their allocations would count as gone.
  if (prefixes === undefined) return yield* wrong("prefixes.json", "does not exist")
  if (addresses === undefined) return yield* wrong("ip-addresses.json", "does not exist")
  if (ranges === undefined && prefixes.some(({ hasRanges }) => hasRanges)) {
    return yield* wrong(
      "ip-ranges.json",
      "does not exist; this NetBox has IP ranges (3.0 and later do): if there are none, write [] into the file",
    )
  }
  return { vrfs, namespaces, prefixes, ranges: ranges ?? [], addresses }
})
