/**
 * The entries of NetBox's exports, as far as an import needs them. Pure.
 *
 * Strict about what decides (id, vrf, status, addresses), silent about the rest: what NetBox adds from version to version, and
 * what a person left out, changes nothing.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { InvalidInput } from "../domain/errors.ts"
import { Name, Owner } from "../domain/identity.ts"
import { parseInput } from "../domain/input.ts"
import { parseHost, parseNetwork, type Prefix, type Span } from "./notation.ts"

/** What every entry has; `index` counts from 0 within its file. */
interface Entry {
  readonly index: number
  /** NetBox's id of the object, from 1. */
  readonly id: number
}

export interface VrfEntry extends Entry {
  readonly name: string
}

/** What lies in a vrf: its id, `null` for the global table. `text` is what NetBox calls it, for reports. */
interface PlacedEntry extends Entry {
  readonly text: string
  readonly vrf: number | null
  readonly status: string
}

/** `isPool`: NetBox hands out its network and broadcast addresses too. `full`: NetBox hands out none of it (`mark_utilized`). */
export interface PrefixEntry extends PlacedEntry {
  readonly span: Prefix
  readonly isPool: boolean
  readonly full: boolean
}

/** `full`: NetBox lets nobody take an address of it (`mark_populated`), whatever its status. */
export interface RangeEntry extends PlacedEntry {
  readonly span: Span
  readonly full: boolean
}

export interface AddressEntry extends PlacedEntry {
  readonly span: Span
  /** What it is assigned to, such as `{ kind: "dcim.interface", id: "7" }`. */
  readonly owner: Owner | undefined
}

/** A struct that minds only the fields named. */
const known = <const Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.StructWithRest(Schema.Struct(fields), [Schema.Record(Schema.String, Schema.Unknown)])

/** Text that the function can read; what it read is thrown away, to be read again when the whole entry holds. */
const textReadBy = (read: (text: string) => Result.Result<unknown, string>) =>
  Schema.String.check(
    Schema.makeFilter((text: string) => {
      const parsed = read(text)
      return Result.isFailure(parsed) ? parsed.failure : undefined
    }),
  )

const Id = Schema.Number.check(
  Schema.makeFilter((id: number) =>
    Number.isSafeInteger(id) && id > 0 ? undefined : "must be a whole number, 1 or more",
  ),
)
const Flag = Schema.optionalKey(Schema.Boolean)
const placed = {
  id: Id,
  vrf: Schema.NullOr(known({ id: Id })),
  status: known({ value: Schema.NonEmptyString }),
}

/** The common part of a decoded entry. */
const place = (
  index: number,
  text: string,
  entry: {
    readonly id: number
    readonly vrf: { readonly id: number } | null
    readonly status: { readonly value: string }
  },
): PlacedEntry => ({ index, text, id: entry.id, vrf: entry.vrf?.id ?? null, status: entry.status.value })

/** Reads the entry at this place of its file; fails with the field that is wrong. */
export type ReadEntry<A> = (raw: unknown, index: number) => Result.Result<A, InvalidInput>

const reading = <S extends Schema.ConstraintDecoder<unknown>, A>(
  schema: S,
  toEntry: (decoded: S["Type"], index: number) => A,
): ReadEntry<A> => {
  const parse = parseInput(schema)
  return (raw, index) => Result.map(parse(raw), (decoded) => toEntry(decoded, index))
}

export const readVrf: ReadEntry<VrfEntry> = reading(known({ id: Id, name: Name }), ({ id, name }, index) => ({
  index,
  id,
  name,
}))

export const readPrefix: ReadEntry<PrefixEntry> = reading(
  known({ ...placed, prefix: textReadBy(parseNetwork), is_pool: Flag, mark_utilized: Flag }),
  (entry, index) => ({
    ...place(index, entry.prefix, entry),
    span: Result.getOrThrow(parseNetwork(entry.prefix)),
    isPool: entry.is_pool ?? false,
    full: entry.mark_utilized ?? false,
  }),
)

const Host = textReadBy(parseHost)

const spanOf = (start: string, end: string): Span => {
  const [first, last] = [Result.getOrThrow(parseHost(start)), Result.getOrThrow(parseHost(end))]
  return { family: first.family, first: first.value, last: last.value }
}

const Range = known({ ...placed, start_address: Host, end_address: Host, mark_populated: Flag }).check(
  Schema.makeFilter(({ start_address: start, end_address: end }) => {
    if (start.includes(":") !== end.includes(":")) {
      return { path: ["end_address"], issue: "must be of the same family as start_address" }
    }
    const { first, last } = spanOf(start, end)
    return first <= last ? undefined : { path: ["end_address"], issue: "must not come before start_address" }
  }),
)

export const readRange: ReadEntry<RangeEntry> = reading(Range, (entry, index) => ({
  ...place(index, `${entry.start_address}-${entry.end_address}`, entry),
  span: spanOf(entry.start_address, entry.end_address),
  full: entry.mark_populated ?? false,
}))

const Address = known({
  ...placed,
  address: Host,
  assigned_object_type: Schema.optionalKey(Schema.NullOr(Owner.fields.kind)),
  assigned_object_id: Schema.optionalKey(Schema.NullOr(Id)),
})

export const readAddress: ReadEntry<AddressEntry> = reading(Address, (entry, index) => {
  const { assigned_object_type: kind, assigned_object_id: id } = entry
  return {
    ...place(index, entry.address, entry),
    span: spanOf(entry.address, entry.address),
    owner: typeof kind === "string" && typeof id === "number" ? { kind, id: String(id) } : undefined,
  }
})
