/**
 * Reads a folder of REST exports. All of it is read and checked before anybody acts on any of it.
 *
 * One file at a time, each turned into slim entries at once: a file may be hundreds of megabytes of JSON.
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

/** What an import needs of a NetBox or a Nautobot. A list that is `undefined` has no file. */
export interface Export {
  readonly vrfs: ReadonlyArray<Origin & SpaceEntry> | undefined
  readonly namespaces: ReadonlyArray<Origin & SpaceEntry> | undefined
  readonly prefixes: ReadonlyArray<Origin & PrefixEntry>
  readonly ranges: ReadonlyArray<Origin & RangeEntry>
  readonly addresses: ReadonlyArray<Origin & AddressEntry>
}

/** The files of one kind of objects, e.g. `prefixes.json`, `prefixes-2.json`. */
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

/** What the operating system or the parser said, in words. */
const because = (cause: unknown): string => {
  const code = codeOf(cause)
  if (code === "ENOENT") return "is not there"
  if (code === "ENOTDIR") return "is no folder"
  return `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A page of the REST API: how many entries it says there are in all, and whether it says that more follow. */
interface Page {
  readonly file: string
  readonly count: number | undefined
  readonly more: boolean
}

/** An entry before it is read; `paged` when it comes from a page. */
interface Raw {
  readonly file: string
  readonly index: number
  readonly raw: unknown
  readonly paged: boolean
}

/** What one file holds: a list of entries, a page of the REST API, one entry, or, as `jq -s` makes them, a list of such. */
export const entriesOf = (
  file: string,
  json: unknown,
): Result.Result<{ readonly raws: ReadonlyArray<Raw>; readonly pages: ReadonlyArray<Page> }, InvalidInput> => {
  const raws: Array<Raw> = []
  const pages: Array<Page> = []
  const add = (value: unknown, paged: boolean): void => {
    if (Array.isArray(value)) value.forEach((one: unknown) => add(one, paged))
    else if (isObject(value) && Array.isArray(value["results"])) {
      const { count, next } = value
      pages.push({ file, count: typeof count === "number" ? count : undefined, more: (next ?? null) !== null })
      value["results"].forEach((one: unknown) => add(one, true))
    } else raws.push({ file, index: raws.length, raw: value, paged })
  }
  const isSomething = Array.isArray(json) || (isObject(json) && (Array.isArray(json["results"]) || "id" in json))
  if (!isSomething) {
    return Result.fail(
      wrong(file, `must be a list of entries, a page of them (an object with "results"), or one entry`),
    )
  }
  add(json, false)
  return Result.succeed({ raws, pages })
}

/** ` (id 7)`, as far as the entry tells it. */
const idIn = (raw: unknown): string =>
  isObject(raw) && (typeof raw["id"] === "number" || typeof raw["id"] === "string")
    ? ` (id ${typeof raw["id"] === "string" ? shown(raw["id"]) : raw["id"]})`
    : ""

/** Each entry, or the first that is malformed: `prefixes.json[3].status.value`, with its id in the message. */
export const readEntries = <A>(
  raws: ReadonlyArray<Raw>,
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

/** Why the pages of one kind are not all that there is; the missing ones would be taken for gone. */
const incompleteness = (pages: ReadonlyArray<Page>, read: number): InvalidInput | undefined => {
  const [first] = pages
  if (first === undefined) return undefined
  const counts = new Set(pages.flatMap(({ count }) => count ?? []))
  const [count = 0] = counts
  if (counts.size > 1) {
    return wrong(
      first.file,
      `its pages say that there are ${[...counts].join(" and ")} entries: export it again, it changed meanwhile`,
    )
  }
  if (counts.size === 0 ? pages.every(({ more }) => more) : read < count) {
    const all = counts.size === 0 ? "more" : `${count} entries`
    return wrong(
      first.file,
      `says that there are ${all}, and ${read} are here; put the other pages beside it, e.g. as prefixes-2.json`,
    )
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
      catch: (cause) => wrong(file, because(cause)),
    })
    const json = yield* Effect.try({
      try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
      catch: (cause) => wrong(file, `is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`),
    })
    const { raws, pages: some } = yield* Effect.fromResult(entriesOf(file, json))
    pages.push(...some)
    // Pages overlap where something was deleted while they were read: the very same entry counts once.
    const fresh = raws.filter(({ raw, paged: isPaged }) => {
      const print = JSON.stringify(raw)
      if (isPaged) paged.add(isObject(raw) && "id" in raw ? String(raw["id"]) : print)
      return !seen.has(print) && seen.add(print)
    })
    for (const entry of yield* Effect.fromResult(readEntries(fresh, read))) entries.push(entry)
  }
  const missing = incompleteness(pages, paged.size)
  return missing === undefined ? entries : yield* missing
})

/** Reads the files of the folder; fails with `InvalidInput` that names the file, the entry and the field. */
export const readFolder = Effect.fn("netbox.readFolder")(function* (
  folder: string,
): Effect.fn.Return<Export, InvalidInput> {
  const names = yield* Effect.tryPromise({
    try: () => readdir(folder),
    catch: (cause) => wrong("folder", `${shown(folder)} ${because(cause)}`),
  })
  const [vrfs, namespaces, prefixes, ranges, addresses] = [
    yield* readKind(folder, names, "vrfs", readSpace),
    yield* readKind(folder, names, "namespaces", readSpace),
    yield* readKind(folder, names, "prefixes", readPrefix),
    yield* readKind(folder, names, "ip-ranges", readRange),
    yield* readKind(folder, names, "ip-addresses", readAddress),
  ]
  // What is not there would be taken for gone, and what it has not be protected.
  if (prefixes === undefined) return yield* wrong("prefixes.json", "is not there")
  if (addresses === undefined) return yield* wrong("ip-addresses.json", "is not there")
  if (ranges === undefined && prefixes.some(({ hasRanges }) => hasRanges)) {
    return yield* wrong(
      "ip-ranges.json",
      "is not there; NetBox has IP ranges since 3.0, and [] says that there are none",
    )
  }
  return { vrfs, namespaces, prefixes, ranges: ranges ?? [], addresses }
})
