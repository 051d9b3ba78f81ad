/**
 * Parses the entries of NetBox (2.x to 4.4) and Nautobot exports. Pure.
 *
 * Strict about the fields that an import needs (ids, address spaces, statuses, addresses), and indifferent to all others, so that
 * fields which a version adds, or which a person removed, change nothing.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { InvalidInput } from "../../errors/errors.ts"
import { Name, Owner } from "../../domain/identity.ts"
import { parseInput } from "../../contract/input.ts"
import type { Space } from "../inventory.ts"
import type { Prefix, Span } from "../spans.ts"
import { parseHost, parseNetwork } from "../maskedNotation.ts"

/** The id of an entry: a whole number from 1 in NetBox, a UUID in Nautobot. */
export type Id = number | string

/** A VRF, or one of Nautobot's namespaces. */
export interface SpaceEntry {
  readonly id: Id
  readonly name: string
  readonly rd: string | null
}

/** The address space that an entry refers to; `name` and `rd` as far as the reference includes them. */
export interface SpaceOfEntry {
  readonly kind: "vrf" | "namespace"
  readonly id: Id
  readonly name: string | undefined
  readonly rd: string | null
}

/** What prefixes, ranges and addresses have in common. `space` is `null` for the global table; `text` is how the source writes it. */
interface CommonEntry {
  readonly id: Id
  readonly text: string
  readonly space: SpaceOfEntry | null
  readonly status: string
}

/** `isPool`: network and broadcast addresses are handed out too. `full`: nothing is handed out (`mark_utilized`). */
export interface PrefixEntry extends CommonEntry {
  readonly span: Prefix
  readonly isPool: boolean
  readonly full: boolean
  /** Whether the entry comes from a version of NetBox that has IP ranges. */
  readonly hasRanges: boolean
}

/** `open`: NetBox hands out addresses of this range, as it does since 4.3 unless the range is marked as populated. */
export interface RangeEntry extends CommonEntry {
  readonly span: Span
  readonly open: boolean
}

export interface AddressEntry extends CommonEntry {
  readonly span: Span
  /** The object it is assigned to, e.g. `{ kind: "dcim.interface", id: "7" }`; `null` for none. */
  readonly owner: Owner | null
  /** The id of its parent prefix, which Nautobot gives; the address is in the namespace of that prefix. */
  readonly parent: Id | undefined
}

/** The space in the terms of an inventory; the global table is our VRF `default`. */
export const spaceOf = (space: SpaceOfEntry | null): Space =>
  space === null ? { vrf: "default" } : { kind: space.kind, id: space.id }

/** A struct that ignores all fields but those named. */
const structWith = <const Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.StructWithRest(Schema.Struct(fields), [Schema.Record(Schema.String, Schema.Unknown)])

/** Text that `parse` accepts. The schema keeps the text; the caller parses it again once the whole entry is valid. */
const textParsableBy = (parse: (text: string) => Result.Result<unknown, string>) =>
  Schema.String.check(
    Schema.makeFilter((text: string) => {
      const parsed = parse(text)
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

/** A reference to another object: the object, or its id alone, as in what clients send to NetBox. */
const Reference = Schema.Union([structWith({ id: Id, name: Text, rd: Text }), Id])
type Reference = typeof Reference.Type
const idOf = (reference: Reference): Id => (typeof reference === "object" ? reference.id : reference)

/** `{ "value": "active" }`, or a number before NetBox 2.7; `{ "name": "Active" }` in Nautobot; or the bare value. */
const Status = Schema.Union([
  structWith({ value: Schema.Union([Schema.NonEmptyString, Schema.Number]) }),
  structWith({ name: Schema.NonEmptyString }),
  Schema.NonEmptyString,
  Schema.Number,
])

// The statuses by the numbers that NetBox used before 2.7.
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

const commonFields = {
  id: Id,
  vrf: Schema.optionalKey(Schema.NullOr(Reference)),
  namespace: Schema.optionalKey(Schema.NullOr(Reference)),
  parent: Schema.optionalKey(Schema.Unknown),
  status: Status,
}

interface DecodedCommon {
  readonly id: Id
  readonly vrf?: Reference | null
  readonly namespace?: Reference | null
  readonly parent?: unknown
  readonly status: typeof Status.Type
}

/** Nautobot 2 has a type where NetBox uses a status: for example a prefix of type `container`, an address of type `dhcp`. */
const Type = Schema.optionalKey(Schema.NullOr(Schema.Union([structWith({ value: Schema.String }), Schema.String])))
const typeOf = (type: (typeof Type)["Type"] | undefined): string | undefined =>
  typeof type === "object" && type !== null ? type.value : (type ?? undefined)

/** Refuses an entry without any field for its address space: it would be taken for one of the global table. */
const requireSpace = ({ vrf, namespace, parent }: Partial<DecodedCommon>) =>
  vrf === undefined && namespace === undefined && parent === undefined
    ? { path: ["vrf"], issue: "is missing" }
    : undefined

const referencedSpace = (kind: SpaceOfEntry["kind"], reference: Reference): SpaceOfEntry => {
  const { name, rd } = typeof reference === "object" ? reference : { name: undefined, rd: undefined }
  return { kind, id: idOf(reference), name: name ?? undefined, rd: rd ?? null }
}

/** In Nautobot, addresses are unique in a namespace, and a VRF is only a label: the namespace wins. */
const commonEntry = (text: string, entry: DecodedCommon, numbered: ReadonlyArray<string>): CommonEntry => ({
  text,
  id: entry.id,
  space:
    entry.namespace !== undefined && entry.namespace !== null
      ? referencedSpace("namespace", entry.namespace)
      : entry.vrf !== undefined && entry.vrf !== null
        ? referencedSpace("vrf", entry.vrf)
        : null,
  status: statusOf(entry.status, numbered),
})

/** Parses one entry; fails with the field that is wrong. */
export type ReadEntry<A> = (raw: unknown) => Result.Result<A, InvalidInput>

const entryReader = <S extends Schema.ConstraintDecoder<unknown>, A>(
  schema: S,
  toEntry: (decoded: S["Type"]) => A,
): ReadEntry<A> => {
  const parse = parseInput(schema)
  return (raw) => Result.map(parse(raw), toEntry)
}

export const readSpace: ReadEntry<SpaceEntry> = entryReader(
  structWith({ id: Id, name: Name, rd: Text }),
  ({ id, name, rd }) => ({
    id,
    name,
    rd: rd || null,
  }),
)

export const readPrefix: ReadEntry<PrefixEntry> = entryReader(
  structWith({
    ...commonFields,
    prefix: textParsableBy(parseNetwork),
    is_pool: Flag,
    mark_utilized: Flag,
    type: Type,
  }).check(Schema.makeFilter(requireSpace)),
  (entry) => {
    const base = commonEntry(entry.prefix, entry, prefixStatuses)
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

const Host = textParsableBy(parseHost)

const spanOf = (start: string, end: string): Span => {
  const [first, last] = [Result.getOrThrow(parseHost(start)), Result.getOrThrow(parseHost(end))]
  return { family: first.family, first: first.value, last: last.value }
}

const Range = structWith({
  ...commonFields,
  start_address: Host,
  end_address: Host,
  mark_populated: Flag,
  mark_utilized: Flag,
}).check(
  Schema.makeFilter(requireSpace),
  Schema.makeFilter(({ start_address: start, end_address: end }) => {
    if (start.includes(":") !== end.includes(":")) {
      return { path: ["end_address"], issue: "must be of the same family as start_address" }
    }
    const { first, last } = spanOf(start, end)
    return first <= last ? undefined : { path: ["end_address"], issue: "must not come before start_address" }
  }),
)

export const readRange: ReadEntry<RangeEntry> = entryReader(Range, (entry) => {
  const base = commonEntry(`${entry.start_address}-${entry.end_address}`, entry, addressStatuses)
  return {
    ...base,
    span: spanOf(entry.start_address, entry.end_address),
    open: base.status === "active" && entry.mark_populated === false && entry.mark_utilized !== true,
  }
})

const Interfaces = Schema.optionalKey(Schema.NullOr(Schema.Array(Reference)))

const Address = structWith({
  ...commonFields,
  address: Host,
  assigned_object_type: Schema.optionalKey(Schema.NullOr(Owner.fields.kind)),
  assigned_object_id: Schema.optionalKey(Schema.NullOr(Id)),
  // Before NetBox 2.9: an interface of a device or of a virtual machine. Nautobot 2 has a list of each.
  interface: Schema.optionalKey(
    Schema.NullOr(structWith({ id: Id, virtual_machine: Schema.optionalKey(Schema.Unknown) })),
  ),
  interfaces: Interfaces,
  vm_interfaces: Interfaces,
  type: Type,
}).check(Schema.makeFilter(requireSpace))

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
  // One of several, chosen independently of their order.
  return assigned.toSorted((a, b) => (`${a.kind} ${a.id}` < `${b.kind} ${b.id}` ? -1 : 1))[0] ?? null
}

const isReference = Schema.is(Reference)

export const readAddress: ReadEntry<AddressEntry> = entryReader(Address, (entry) => {
  const base = commonEntry(entry.address, entry, addressStatuses)
  const type = typeOf(entry.type) ?? "host"
  return {
    ...base,
    status: base.status === "active" && type !== "host" ? type : base.status,
    span: spanOf(entry.address, entry.address),
    owner: ownerOf(entry),
    parent: isReference(entry.parent) ? idOf(entry.parent) : undefined,
  }
})
