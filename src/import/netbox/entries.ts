/**
 * The entries of exports of NetBox (2.x to 4.4) and of Nautobot, as far as an import needs them. Pure.
 *
 * Strict about what decides (ids, address spaces, statuses, addresses), silent about the rest: what they add from version to
 * version, and what a person left out, changes nothing.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { InvalidInput } from "../../errors/errors.ts"
import { Name, Owner } from "../../domain/identity.ts"
import { parseInput } from "../../contract/input.ts"
import type { Space } from "../inventory.ts"
import type { Prefix, Span } from "../spans.ts"
import { parseHost, parseNetwork } from "../notation.ts"

/** What every entry has: NetBox's ids are whole numbers from 1, Nautobot's are UUIDs. */
export type Id = number | string

/** A VRF, or one of Nautobot's namespaces. */
export interface SpaceEntry {
  readonly id: Id
  readonly name: string
  readonly rd: string | null
}

/** What an entry says about its address space; the name and the RD where it tells them by the way. */
export interface SpaceOfEntry {
  readonly kind: "vrf" | "namespace"
  readonly id: Id
  readonly name: string | undefined
  readonly rd: string | null
}

/** `space` is `null` for the global table. `text` is how the source writes it. */
interface PlacedEntry {
  readonly id: Id
  readonly text: string
  readonly space: SpaceOfEntry | null
  readonly status: string
}

/** `isPool`: its network and broadcast addresses are handed out too. `full`: none of it is (`mark_utilized`). */
export interface PrefixEntry extends PlacedEntry {
  readonly span: Prefix
  readonly isPool: boolean
  readonly full: boolean
  /** Whether it comes from a version that has IP ranges, too. */
  readonly hasRanges: boolean
}

/** `open`: since 4.3 NetBox hands out addresses of a range that is not marked as populated. */
export interface RangeEntry extends PlacedEntry {
  readonly span: Span
  readonly open: boolean
}

export interface AddressEntry extends PlacedEntry {
  readonly span: Span
  /** What it is assigned to, such as `{ kind: "dcim.interface", id: "7" }`. */
  readonly owner: Owner | null
  /** The prefix that it lies in, by id: where Nautobot says so, that prefix tells its namespace. */
  readonly parent: Id | undefined
}

/** The VRF of ours that the space is, or the object that stands for it. */
export const spaceOf = (space: SpaceOfEntry | null): Space =>
  space === null ? { vrf: "default" } : { kind: space.kind, id: space.id }

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

const Id = Schema.Union([
  Schema.Number.check(
    Schema.makeFilter((id: number) =>
      Number.isSafeInteger(id) && id > 0 ? undefined : "must be a whole number, 1 or more",
    ),
  ),
  Schema.String.check(
    Schema.makeFilter((id: string) =>
      /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id) ? undefined : "must be a whole number or a UUID",
    ),
  ),
])
const Flag = Schema.optionalKey(Schema.NullOr(Schema.Boolean))
const Text = Schema.optionalKey(Schema.NullOr(Schema.String))

/** Another object: as an object, or by its id alone, as in what one sends to NetBox. */
const Reference = Schema.Union([known({ id: Id, name: Text, rd: Text }), Id])
type Reference = typeof Reference.Type
const idOf = (reference: Reference): Id => (typeof reference === "object" ? reference.id : reference)

/** `{ "value": "active" }`, with a number before 2.7; `{ "name": "Active" }` of Nautobot; or the bare value. */
const Status = Schema.Union([
  known({ value: Schema.Union([Schema.NonEmptyString, Schema.Number]) }),
  known({ name: Schema.NonEmptyString }),
  Schema.NonEmptyString,
  Schema.Number,
])

/** The numbers that stood for statuses before 2.7. */
const prefixStatuses = ["container", "active", "reserved", "deprecated"]
const addressStatuses = ["", "active", "reserved", "deprecated", "", "dhcp"]

const statusOf = (status: typeof Status.Type, numbered: ReadonlyArray<string>): string => {
  const value =
    typeof status !== "object"
      ? status
      : "value" in status
        ? (status["value"] as string | number)
        : String(status["name"])
  return typeof value === "number" ? numbered[value] || `status ${value}` : value.toLowerCase()
}

const placed = {
  id: Id,
  vrf: Schema.optionalKey(Schema.NullOr(Reference)),
  namespace: Schema.optionalKey(Schema.NullOr(Reference)),
  parent: Schema.optionalKey(Schema.Unknown),
  status: Status,
}

interface DecodedPlace {
  readonly id: Id
  readonly vrf?: Reference | null
  readonly namespace?: Reference | null
  readonly parent?: unknown
  readonly status: typeof Status.Type
}

/** Nautobot 2 has in a field of its own what NetBox says by a status: that a prefix is a container, an address one of DHCP. */
const Type = Schema.optionalKey(Schema.NullOr(Schema.Union([known({ value: Schema.String }), Schema.String])))
const typeOf = (type: (typeof Type)["Type"] | undefined): string | undefined =>
  typeof type === "object" && type !== null ? type.value : (type ?? undefined)

/** What no entry may lack: it would be taken for one of the global table. */
const saysItsSpace = ({ vrf, namespace, parent }: Partial<DecodedPlace>) =>
  vrf === undefined && namespace === undefined && parent === undefined
    ? { path: ["vrf"], issue: "is missing" }
    : undefined

const spaceIn = (kind: SpaceOfEntry["kind"], reference: Reference): SpaceOfEntry => {
  const { name, rd } = typeof reference === "object" ? reference : { name: undefined, rd: undefined }
  return { kind, id: idOf(reference), name: name ?? undefined, rd: rd ?? null }
}

/** A namespace is what makes addresses unique; where there are some, VRFs are no more than a label. */
const place = (text: string, entry: DecodedPlace, numbered: ReadonlyArray<string>): PlacedEntry => ({
  text,
  id: entry.id,
  space:
    entry.namespace !== undefined && entry.namespace !== null
      ? spaceIn("namespace", entry.namespace)
      : entry.vrf !== undefined && entry.vrf !== null
        ? spaceIn("vrf", entry.vrf)
        : null,
  status: statusOf(entry.status, numbered),
})

/** Reads an entry; fails with the field that is wrong. */
export type ReadEntry<A> = (raw: unknown) => Result.Result<A, InvalidInput>

const reading = <S extends Schema.ConstraintDecoder<unknown>, A>(
  schema: S,
  toEntry: (decoded: S["Type"]) => A,
): ReadEntry<A> => {
  const parse = parseInput(schema)
  return (raw) => Result.map(parse(raw), toEntry)
}

export const readSpace: ReadEntry<SpaceEntry> = reading(
  known({ id: Id, name: Name, rd: Text }),
  ({ id, name, rd }) => ({
    id,
    name,
    rd: rd || null,
  }),
)

export const readPrefix: ReadEntry<PrefixEntry> = reading(
  known({ ...placed, prefix: textReadBy(parseNetwork), is_pool: Flag, mark_utilized: Flag, type: Type }).check(
    Schema.makeFilter(saysItsSpace),
  ),
  (entry) => {
    const base = place(entry.prefix, entry, prefixStatuses)
    return {
      ...base,
      status: typeOf(entry.type) === "container" ? "container" : base.status,
      span: Result.getOrThrow(parseNetwork(entry.prefix)),
      isPool: entry.is_pool ?? typeOf(entry.type) === "pool",
      full: entry.mark_utilized ?? false,
      hasRanges: entry.mark_utilized !== undefined,
    }
  },
)

const Host = textReadBy(parseHost)

const spanOf = (start: string, end: string): Span => {
  const [first, last] = [Result.getOrThrow(parseHost(start)), Result.getOrThrow(parseHost(end))]
  return { family: first.family, first: first.value, last: last.value }
}

const Range = known({
  ...placed,
  start_address: Host,
  end_address: Host,
  mark_populated: Flag,
  mark_utilized: Flag,
}).check(
  Schema.makeFilter(saysItsSpace),
  Schema.makeFilter(({ start_address: start, end_address: end }) => {
    if (start.includes(":") !== end.includes(":")) {
      return { path: ["end_address"], issue: "must be of the same family as start_address" }
    }
    const { first, last } = spanOf(start, end)
    return first <= last ? undefined : { path: ["end_address"], issue: "must not come before start_address" }
  }),
)

export const readRange: ReadEntry<RangeEntry> = reading(Range, (entry) => {
  const base = place(`${entry.start_address}-${entry.end_address}`, entry, addressStatuses)
  return {
    ...base,
    span: spanOf(entry.start_address, entry.end_address),
    open: base.status === "active" && entry.mark_populated === false && entry.mark_utilized !== true,
  }
})

const Interfaces = Schema.optionalKey(Schema.NullOr(Schema.Array(Reference)))

const Address = known({
  ...placed,
  address: Host,
  assigned_object_type: Schema.optionalKey(Schema.NullOr(Owner.fields.kind)),
  assigned_object_id: Schema.optionalKey(Schema.NullOr(Id)),
  // Before 2.9, an interface of a device or of a virtual machine; in Nautobot 2, lists of both.
  interface: Schema.optionalKey(Schema.NullOr(known({ id: Id, virtual_machine: Schema.optionalKey(Schema.Unknown) }))),
  interfaces: Interfaces,
  vm_interfaces: Interfaces,
  type: Type,
}).check(Schema.makeFilter(saysItsSpace))

const [DEVICE, MACHINE] = ["dcim.interface", "virtualization.vminterface"] as const

const ownerOf = (entry: typeof Address.Type): Owner | null => {
  const { assigned_object_type: kind, assigned_object_id: id, interface: old, interfaces, vm_interfaces } = entry
  const owner = (kind: string, id: Id): Owner => ({ kind, id: String(id) })
  if (typeof kind === "string" && id !== undefined && id !== null) return owner(kind, id)
  if (old !== undefined && old !== null) return owner((old.virtual_machine ?? null) === null ? DEVICE : MACHINE, old.id)
  const assigned = [
    ...(interfaces ?? []).map((one) => owner(DEVICE, idOf(one))),
    ...(vm_interfaces ?? []).map((one) => owner(MACHINE, idOf(one))),
  ]
  // Of several it is the same one each time, in whatever order they come.
  return assigned.toSorted((a, b) => (`${a.kind} ${a.id}` < `${b.kind} ${b.id}` ? -1 : 1))[0] ?? null
}

const isReference = Schema.is(Reference)

export const readAddress: ReadEntry<AddressEntry> = reading(Address, (entry) => {
  const base = place(entry.address, entry, addressStatuses)
  const type = typeOf(entry.type) ?? "host"
  return {
    ...base,
    status: base.status === "active" && type !== "host" ? type : base.status,
    span: spanOf(entry.address, entry.address),
    owner: ownerOf(entry),
    parent: isReference(entry.parent) ? idOf(entry.parent) : undefined,
  }
})
