/**
 * Reads a folder of NetBox's REST exports. All of it is read and checked before anybody acts on any of it.
 *
 * One file at a time, each turned into slim entries at once: a file may be hundreds of megabytes of JSON.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFile, stat } from "node:fs/promises"
import { join } from "node:path"
import { shown } from "../domain/address.ts"
import { InvalidInput } from "../domain/errors.ts"
import { readAddress, readPrefix, readRange, readVrf, type ReadEntry } from "./entries.ts"
import type { AddressEntry, PrefixEntry, RangeEntry, VrfEntry } from "./entries.ts"

/** What an import needs of a NetBox. */
export interface Export {
  readonly vrfs: ReadonlyArray<VrfEntry>
  readonly prefixes: ReadonlyArray<PrefixEntry>
  readonly ranges: ReadonlyArray<RangeEntry>
  readonly addresses: ReadonlyArray<AddressEntry>
}

/** The four files of an export. */
export type FileName = "vrfs.json" | "prefixes.json" | "ip-ranges.json" | "ip-addresses.json"

const wrong = (field: string, reason: string): InvalidInput =>
  new InvalidInput({ field, message: `${field}: ${reason}` })

/** What the operating system or the parser said, in words. */
const because = (cause: unknown): string => {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
  if (code === "ENOENT") return "is not there"
  return `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The entries of a bare list or of a page of the REST API. One page of several is refused: the rest would be missed in silence. */
export const entriesOf = (file: FileName, json: unknown): Result.Result<ReadonlyArray<unknown>, InvalidInput> => {
  if (Array.isArray(json)) return Result.succeed(json)
  if (!isObject(json) || !Array.isArray(json["results"])) {
    return Result.fail(wrong(file, `must be a list of entries, or an object with such a list as "results"`))
  }
  const results: ReadonlyArray<unknown> = json["results"]
  const { count, next } = json
  if ((next ?? null) !== null) {
    return Result.fail(wrong(file, `is one page of several; export all of it in one, e.g. with "?limit=0"`))
  }
  if (typeof count === "number" && count !== results.length) {
    return Result.fail(wrong(file, `says it has ${count} entries, and has ${results.length}`))
  }
  return Result.succeed(results)
}

/** ` (id 7)`, as far as the entry tells it. */
const idOf = (raw: unknown): string =>
  isObject(raw) && (typeof raw["id"] === "number" || typeof raw["id"] === "string")
    ? ` (id ${typeof raw["id"] === "string" ? shown(raw["id"]) : raw["id"]})`
    : ""

/** Each entry of a file, or the first that is malformed: `prefixes.json[3].status.value`, with its id in the message. */
export const readEntries = <A>(
  file: FileName,
  json: unknown,
  read: ReadEntry<A>,
): Result.Result<ReadonlyArray<A>, InvalidInput> =>
  Result.flatMap(entriesOf(file, json), (raws) => {
    const entries: Array<A> = []
    for (const [index, raw] of raws.entries()) {
      const entry = read(raw, index)
      if (Result.isFailure(entry)) {
        const { field, message } = entry.failure
        return Result.fail(
          new InvalidInput({
            field: `${file}[${index}]${field === "" ? "" : `.${field}`}`,
            message: `${file}, entry ${index}${idOf(raw)}: ${field === "" ? "must be an object" : message}`,
          }),
        )
      }
      entries.push(entry.success)
    }
    return Result.succeed(entries)
  })

const readOne = Effect.fnUntraced(function* <A>(folder: string, file: FileName, read: ReadEntry<A>) {
  const text = yield* Effect.tryPromise({
    try: () => readFile(join(folder, file), "utf8"),
    catch: (cause) => wrong(file, because(cause)),
  })
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
    catch: (cause) => wrong(file, `is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`),
  })
  return yield* Effect.fromResult(readEntries(file, json, read))
})

/** Reads the four files of the folder; fails with `InvalidInput` that names the file, the entry and the field. */
export const readFolder = Effect.fn("netbox.readFolder")(function* (
  folder: string,
): Effect.fn.Return<Export, InvalidInput> {
  const isFolder = yield* Effect.tryPromise({
    try: async () => (await stat(folder)).isDirectory(),
    catch: (cause) => wrong("folder", `${shown(folder)} ${because(cause)}`),
  })
  if (!isFolder) return yield* wrong("folder", `${shown(folder)} is no folder`)
  return {
    vrfs: yield* readOne(folder, "vrfs.json", readVrf),
    prefixes: yield* readOne(folder, "prefixes.json", readPrefix),
    ranges: yield* readOne(folder, "ip-ranges.json", readRange),
    addresses: yield* readOne(folder, "ip-addresses.json", readAddress),
  }
})
