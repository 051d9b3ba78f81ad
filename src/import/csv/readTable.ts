/**
 * Reads a table of addresses, one thing a line, for whatever system can write one.
 *
 * A line without an address is a pool, by its prefix; a line with one is an address or a range that is in use, in the prefix or
 * the pool named. `status` is `active` when left out; anything else that lies in a pool is reserved, and says why.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFile } from "node:fs/promises"
import { basename } from "node:path"
import { fromBigInt, shown } from "../../domain/address.ts"
import { InvalidInput } from "../../errors/errors.ts"
import { DEFAULT, Name, Owner } from "../../domain/identity.ts"
import { parseInput } from "../../contract/input.ts"
import { parseRange } from "../../domain/range.ts"
import type { Inventory, Left, Occupied, SourcePool } from "../inventory.ts"
import { parseHost, parseNetwork } from "../notation.ts"
import { spanBetween, type Span } from "../spans.ts"
import { parseCsv } from "./parseCsv.ts"

const columns = ["vrf", "pool or prefix", "address", "owner kind", "owner id", "status", "description"] as const
type Column = (typeof columns)[number]

/** An empty table to fill in, with one line of each kind. */
export const template = [
  columns.join(","),
  "default,10.0.0.0/24,,,,active,a pool",
  "default,10.0.0.0/24,10.0.0.5,instance,i-1,active,held for instance/i-1",
  "default,10.0.0.0/24,10.0.0.6,,,reserved,never handed out",
  "default,10.0.0.0/24,10.0.0.128-10.0.0.191,,,dhcp,neither is a range",
].join("\n")

const nameParser = parseInput(Name)
const ownerParser = parseInput(Owner)

/** What a line says wrong: the column, and why. */
interface Wrong {
  readonly column: Column
  readonly reason: string
}

type Read<A> = Result.Result<A, Wrong>

const wrong = (column: Column, reason: string): Result.Result<never, Wrong> => Result.fail({ column, reason })

/** One address, with its network's mask or without; or a range of them. */
const readAddress = (text: string): Read<Span> => {
  if (!text.includes("/")) {
    const range = parseRange(text)
    return Result.isFailure(range)
      ? wrong("address", range.failure)
      : Result.succeed(spanBetween(range.success.first, range.success.last))
  }
  const network = parseNetwork(text)
  if (Result.isSuccess(network) && network.success.first !== network.success.last) {
    return wrong("address", `${shown(text)} is a prefix; write one address, or FIRST-LAST`)
  }
  const host = parseHost(text)
  if (Result.isFailure(host)) return wrong("address", host.failure)
  const { family, value } = host.success
  return fromBigInt(family, value) === undefined
    ? wrong("address", `${shown(text)} cannot be handed out`)
    : Result.succeed({ family, first: value, last: value })
}

const readOwner = (kind: string, id: string): Read<Owner | null> => {
  if (kind === "" && id === "") return Result.succeed(null)
  if (kind === "") return wrong("owner kind", "is missing; an owner has a kind and an id")
  if (id === "") return wrong("owner id", "is missing; an owner has a kind and an id")
  const owner = ownerParser({ kind, id })
  if (Result.isSuccess(owner)) return Result.succeed(owner.success)
  const { field, message } = owner.failure
  return wrong(field === "kind" ? "owner kind" : "owner id", message.slice(message.indexOf(": ") + 2))
}

/** What a line is; or why it is nothing. */
type Thing = { readonly pool: SourcePool } | { readonly occupied: Occupied } | { readonly left: Left }

const readLine = (cells: Readonly<Record<Column, string>>, file: string, index: number, line: number): Read<Thing> => {
  const vrf = cells.vrf === "" ? DEFAULT : cells.vrf
  if (Result.isFailure(nameParser(vrf))) return wrong("vrf", "must have at most 200 characters")
  const [place, note] = [cells["pool or prefix"], cells.description]
  const status = cells.status === "" ? "active" : cells.status.toLowerCase()
  const prefix = place.includes("/") ? parseNetwork(place) : undefined
  if (prefix !== undefined && Result.isFailure(prefix)) return wrong("pool or prefix", prefix.failure)
  const item = { file, index, id: line, space: { vrf } }
  const owner = readOwner(cells["owner kind"], cells["owner id"])
  if (Result.isFailure(owner)) return Result.fail(owner.failure)
  if (cells.address === "") {
    if (prefix === undefined) {
      return wrong(place === "" ? "pool or prefix" : "address", "is missing: a line is a prefix, or an address")
    }
    if (owner.success !== null) return wrong("address", "is missing: only an address has an owner")
    const text = place
    const span = prefix.success
    if (status === "active") return Result.succeed({ pool: { ...item, text, span, includeNetworkAddresses: false } })
    if (status === "container") {
      return Result.succeed({ left: { ...item, text, reason: "container", message: "a container is no pool" } })
    }
    return Result.succeed({ occupied: { ...item, text, what: "prefix", span, status, hold: null, note } })
  }
  const span = readAddress(cells.address)
  if (Result.isFailure(span)) return Result.fail(span.failure)
  const { family, first, last } = span.success
  if (prefix !== undefined) {
    const { success: outer } = prefix
    if (outer.family !== family || first < outer.first || last > outer.last) {
      return wrong("address", `${shown(cells.address)} does not lie in ${place}`)
    }
  }
  const isOne = first === last
  if (!isOne && owner.success !== null) return wrong("owner kind", "must be empty: a range is reserved, not held")
  const what = isOne ? "address" : "range"
  const hold = isOne && status === "active" ? { owner: owner.success } : null
  return Result.succeed({ occupied: { ...item, text: cells.address, what, span: span.success, status, hold, note } })
}

/** Reads the text of a table; fails with `InvalidInput` that names the line and the column. */
export const readTable = (file: string, text: string): Result.Result<Inventory, InvalidInput> => {
  const fail = (field: string, message: string) => Result.fail(new InvalidInput({ field, message }))
  const records = parseCsv(text)
  if (Result.isFailure(records)) return fail(file, `${file}: ${records.failure}`)
  const [head, ...rows] = records.success
  const titles = head?.cells.map((cell) => cell.trim().toLowerCase().replaceAll("_", " ")) ?? []
  const at = (column: Column) =>
    titles.findIndex((title) => title === column || (column === "pool or prefix" && /^(pool|prefix)$/.test(title)))
  const places = columns.map((column) => [column, at(column)] as const)
  const lacking = places.filter(
    ([column, place]) => place === -1 && (column === "address" || column === "pool or prefix"),
  )
  if (lacking.length > 0) {
    return fail(
      file,
      `${file}: its first line must name the columns ${columns.join(",")}; there is no ${lacking[0]?.[0]}`,
    )
  }
  const strange = titles.findIndex((_, place) => !places.some(([, known]) => known === place))
  if (strange !== -1)
    return fail(file, `${file}: ${shown(titles[strange] ?? "")} is no column; there are ${columns.join(",")}`)

  const [pools, occupied, left]: [Array<SourcePool>, Array<Occupied>, Array<Left>] = [[], [], []]
  for (const [index, { cells, line }] of rows.entries()) {
    if (cells.every((cell) => cell.trim() === "")) continue
    if (cells.length > titles.length)
      return fail(`${file}[${index}]`, `${file}, line ${line}: has more cells than there are columns`)
    const named = Object.fromEntries(places.map(([column, place]) => [column, cells[place]?.trim() ?? ""]))
    const thing = readLine(named as Record<Column, string>, file, index, line)
    if (Result.isFailure(thing)) {
      const { column, reason } = thing.failure
      return fail(`${file}[${index}].${column}`, `${file}, line ${line}: ${column}: ${reason}`)
    }
    if ("pool" in thing.success) pools.push(thing.success.pool)
    else if ("occupied" in thing.success) occupied.push(thing.success.occupied)
    else left.push(thing.success.left)
  }
  return Result.succeed({ spaces: [], pools, occupied, left })
}

/** Reads the file of a table. */
export const readTableFile = Effect.fn("csv.readTableFile")(function* (
  path: string,
): Effect.fn.Return<Inventory, InvalidInput> {
  const text = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
      const why = code === "ENOENT" ? "is not there" : `cannot be read: ${String(cause)}`
      return new InvalidInput({ field: "file", message: `file: ${shown(path)} ${why}` })
    },
  })
  return yield* Effect.fromResult(readTable(basename(path), text))
})
