/**
 * Reads a CSV table of pools and addresses, for any system that can write one.
 *
 * A line without an address is a pool with that prefix. A line with an address is an address or a range in use. `status` is `active`
 * when left out; an address with any other status becomes a reservation, with the status as its reason.
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
import type { Inventory, Occupied, Skipped, SourcePool } from "../inventory.ts"
import { parseHost, parseNetwork } from "../maskedNotation.ts"
import { spanBetween, type Span } from "../spans.ts"
import { parseCsv } from "./parseCsv.ts"

const columns = ["vrf", "pool or prefix", "address", "owner kind", "owner id", "status", "description"] as const
type Column = (typeof columns)[number]

/** An example to fill in, with one line of each kind. */
export const template = [
  columns.join(","),
  "default,10.0.0.0/24,,,,active,a pool",
  "default,10.0.0.0/24,10.0.0.5,instance,i-1,active,held for instance/i-1",
  "default,10.0.0.0/24,10.0.0.6,,,reserved,never handed out",
  "default,10.0.0.0/24,10.0.0.128-10.0.0.191,,,dhcp,a range is never handed out either",
].join("\n")

const nameParser = parseInput(Name)
const ownerParser = parseInput(Owner)

interface CellError {
  readonly column: Column
  readonly reason: string
}

type Parsed<A> = Result.Result<A, CellError>

const fail = (column: Column, reason: string): Result.Result<never, CellError> => Result.fail({ column, reason })

/** Parses one address, with or without a prefix length, or a range. */
const readAddress = (text: string): Parsed<Span> => {
  if (!text.includes("/")) {
    const range = parseRange(text)
    return Result.isFailure(range)
      ? fail("address", range.failure)
      : Result.succeed(spanBetween(range.success.first, range.success.last))
  }
  const network = parseNetwork(text)
  if (Result.isSuccess(network) && network.success.first !== network.success.last) {
    return fail("address", `${shown(text)} is a prefix; write one address or FIRST-LAST`)
  }
  const host = parseHost(text)
  if (Result.isFailure(host)) return fail("address", host.failure)
  const { family, value } = host.success
  return fromBigInt(family, value) === undefined
    ? fail("address", `${shown(text)} cannot be handed out`)
    : Result.succeed({ family, first: value, last: value })
}

const readOwner = (kind: string, id: string): Parsed<Owner | null> => {
  if (kind === "" && id === "") return Result.succeed(null)
  if (kind === "") return fail("owner kind", "is missing; an owner has a kind and an id")
  if (id === "") return fail("owner id", "is missing; an owner has a kind and an id")
  const owner = ownerParser({ kind, id })
  if (Result.isSuccess(owner)) return Result.succeed(owner.success)
  const { field, message } = owner.failure
  return fail(field === "kind" ? "owner kind" : "owner id", message.slice(message.indexOf(": ") + 2))
}

type Line = { readonly pool: SourcePool } | { readonly occupied: Occupied } | { readonly skipped: Skipped }

const readLine = (cells: Readonly<Record<Column, string>>, file: string, index: number, line: number): Parsed<Line> => {
  const vrf = cells.vrf === "" ? DEFAULT : cells.vrf
  if (Result.isFailure(nameParser(vrf))) return fail("vrf", "must have at most 200 characters")
  const [location, note] = [cells["pool or prefix"], cells.description]
  const status = cells.status === "" ? "active" : cells.status.toLowerCase()
  const prefix = location.includes("/") ? parseNetwork(location) : undefined
  if (prefix !== undefined && Result.isFailure(prefix)) return fail("pool or prefix", prefix.failure)
  const item = { file, index, id: line, space: { vrf } }
  const owner = readOwner(cells["owner kind"], cells["owner id"])
  if (Result.isFailure(owner)) return Result.fail(owner.failure)
  if (cells.address === "") {
    if (prefix === undefined) {
      return fail(location === "" ? "pool or prefix" : "address", "is missing: a line must have a prefix or an address")
    }
    if (owner.success !== null) return fail("address", "is missing: only an address has an owner")
    const text = location
    const span = prefix.success
    if (status === "active") return Result.succeed({ pool: { ...item, text, span, includeNetworkAddresses: false } })
    if (status === "container") {
      return Result.succeed({ skipped: { ...item, text, reason: "container", message: "a container is not a pool" } })
    }
    return Result.succeed({ occupied: { ...item, text, what: "prefix", span, status, hold: null, note } })
  }
  const span = readAddress(cells.address)
  if (Result.isFailure(span)) return Result.fail(span.failure)
  const { family, first, last } = span.success
  if (prefix !== undefined) {
    const { success: outer } = prefix
    if (outer.family !== family || first < outer.first || last > outer.last) {
      return fail("address", `${shown(cells.address)} does not lie in ${location}`)
    }
  }
  const isOne = first === last
  if (!isOne && owner.success !== null) return fail("owner kind", "must be empty: a range is reserved, not held")
  const what = isOne ? "address" : "range"
  const hold = isOne && status === "active" ? { owner: owner.success } : null
  return Result.succeed({ occupied: { ...item, text: cells.address, what, span: span.success, status, hold, note } })
}

/** Reads the text of a table. Fails with `InvalidInput` that names the line and the column. */
export const readTable = (file: string, text: string): Result.Result<Inventory, InvalidInput> => {
  const refuse = (field: string, message: string) => Result.fail(new InvalidInput({ field, message }))
  const records = parseCsv(text)
  if (Result.isFailure(records)) return refuse(file, `${file}: ${records.failure}`)
  const [head, ...rows] = records.success
  const titles = head?.cells.map((cell) => cell.trim().toLowerCase().replaceAll("_", " ")) ?? []
  const at = (column: Column) =>
    titles.findIndex((title) => title === column || (column === "pool or prefix" && /^(pool|prefix)$/.test(title)))
  const positions = columns.map((column) => [column, at(column)] as const)
  const missing = positions.filter(
    ([column, position]) => position === -1 && (column === "address" || column === "pool or prefix"),
  )
  if (missing.length > 0) {
    return refuse(
      file,
      `${file}: its first line must name the columns ${columns.join(",")}; ${missing[0]?.[0]} is missing`,
    )
  }
  const unknown = titles.findIndex((_, index) => !positions.some(([, position]) => position === index))
  if (unknown !== -1)
    return refuse(
      file,
      `${file}: ${shown(titles[unknown] ?? "")} is not a column; the columns are ${columns.join(",")}`,
    )

  const [pools, occupied, skipped]: [Array<SourcePool>, Array<Occupied>, Array<Skipped>] = [[], [], []]
  for (const [index, { cells, line }] of rows.entries()) {
    if (cells.every((cell) => cell.trim() === "")) continue
    if (cells.length > titles.length)
      return refuse(`${file}[${index}]`, `${file}, line ${line}: has more cells than the table has columns`)
    const named = Object.fromEntries(positions.map(([column, position]) => [column, cells[position]?.trim() ?? ""]))
    const parsed = readLine(named as Record<Column, string>, file, index, line)
    if (Result.isFailure(parsed)) {
      const { column, reason } = parsed.failure
      return refuse(`${file}[${index}].${column}`, `${file}, line ${line}: ${column}: ${reason}`)
    }
    if ("pool" in parsed.success) pools.push(parsed.success.pool)
    else if ("occupied" in parsed.success) occupied.push(parsed.success.occupied)
    else skipped.push(parsed.success.skipped)
  }
  return Result.succeed({ spaces: [], pools, occupied, skipped })
}

/** Reads a table from a file. Fails with `InvalidInput`, also when the file cannot be read. */
export const readTableFile = Effect.fn("csv.readTableFile")(function* (
  path: string,
): Effect.fn.Return<Inventory, InvalidInput> {
  const text = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => {
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
      const why = code === "ENOENT" ? "does not exist" : `cannot be read: ${String(cause)}`
      return new InvalidInput({ field: "file", message: `file: ${shown(path)} ${why}` })
    },
  })
  return yield* Effect.fromResult(readTable(basename(path), text))
})
