/**
 * Rows of `ipam.answer`, the type of every call on keys: its columns, and what they are read to. Pure.
 *
 * Allocations and tombstones are read by hand, field by field, since every call on a key passes here: their schemas do the same at
 * ten times the cost. A test holds the two equal.
 */
import * as Schema from "effect/Schema"
import type { IpAddress } from "../domain/address.ts"
import { Time } from "../domain/time.ts"
import { Allocation, FreeAddress, Released, ReleaseReason, type KeyRecord } from "./allocation.ts"
import { fieldsIn, reader, type Columns, type Row } from "./row.ts"

/** The columns of `ipam.answer`. */
export const answerColumns = {
  outcome: "text",
  vrf: "text",
  pool: "text",
  request_id: "uuid",
  slot: "text",
  address: "inet",
  prefix_length: "integer",
  gateway: "inet",
  generation: "bigint",
  state: "text",
  expires_at: "timestamp with time zone",
  owner_kind: "text",
  owner_id: "text",
  freed: "boolean",
  detail: "jsonb",
  allocated_at: "timestamp with time zone",
} satisfies Columns

/** A row of `ipam.answer` that holds a live allocation. */
export const toAllocation = (row: Row): Allocation => ({
  outcome: oneOf(Allocation.fields.outcome.literals, row, "outcome"),
  vrf: text(row, "vrf"),
  pool: text(row, "pool"),
  requestId: text(row, "request_id"),
  slot: text(row, "slot"),
  address: text(row, "address"),
  prefixLength: orNull(integer, row, "prefix_length"),
  gateway: orNull(address, row, "gateway"),
  generation: bigint(row, "generation"),
  state: oneOf(Allocation.fields.state.literals, row, "state"),
  allocatedAt: orNull(time, row, "allocated_at"),
  expiresAt: orNull(time, row, "expires_at"),
  owner: ownerOf(row),
})

const tombstoneOf = (row: Row) => {
  const { reason, releasedAt, releasedBy = null, note = null } = releaseDetailOf(row["detail"])
  return {
    vrf: text(row, "vrf"),
    requestId: text(row, "request_id"),
    slot: text(row, "slot"),
    pool: orNull(text, row, "pool"),
    address: orNull(text, row, "address"),
    prefixLength: orNull(integer, row, "prefix_length"),
    gateway: orNull(address, row, "gateway"),
    generation: orNull(bigint, row, "generation"),
    state: oneOf(["released"] as const, row, "state"),
    allocatedAt: orNull(time, row, "allocated_at"),
    expiresAt: orNull(time, row, "expires_at"),
    owner: ownerOf(row),
    releasedAt,
    releaseReason: reason,
    releasedBy,
    releaseNote: note,
  }
}

/** A row of `ipam.answer` of a release. */
export const toReleased = (row: Row): Released => ({
  outcome: oneOf(Released.fields.outcome.literals, row, "outcome"),
  freed: row["freed"] === true || (row["freed"] === false ? false : misfit("freed", row["freed"])),
  ...tombstoneOf(row),
})

/** A row of `ipam.answer` of a read: live, or a tombstone. */
export const toKeyRecord = (row: Row): KeyRecord =>
  row["state"] === "released"
    ? { outcome: oneOf(["released"] as const, row, "outcome"), ...tombstoneOf(row) }
    : toAllocation(row)

/** When and why a key was released, and by whom where that was a reconciler. */
export const releaseDetailOf = (detail: unknown) => {
  const given = typeof detail === "object" && detail !== null ? (detail as Row) : misfit("detail", detail)
  return {
    reason: oneOf(ReleaseReason.literals, given, "reason"),
    releasedAt: time(given, "releasedAt"),
    ...(given["releasedBy"] === undefined ? {} : { releasedBy: text(given, "releasedBy") }),
    ...(given["note"] === undefined ? {} : { note: text(given, "note") }),
  }
}

const ownerOf = (row: Row) =>
  row["owner_kind"] === null ? null : { kind: text(row, "owner_kind"), id: text(row, "owner_id") }

const misfit = (column: string, value: unknown): never => {
  throw new Error(`The database answered an allocation whose ${column} does not fit: ${String(value)}`)
}

type Reads<A> = (row: Row, column: string) => A

const orNull = <A>(read: Reads<A>, row: Row, column: string): A | null =>
  row[column] === null ? null : read(row, column)

const oneOf = <A>(values: ReadonlyArray<A>, row: Row, column: string): A => {
  const value = row[column]
  // What is found among them is one of them.
  return values.includes(value as A) ? (value as A) : misfit(column, value)
}
const text: Reads<string> = (row, column) => {
  const value = row[column]
  return typeof value === "string" ? value : misfit(column, value)
}
/** Canonical as it is: what PostgreSQL prints is the canonical spelling. */
const address = text as Reads<IpAddress>
const integer: Reads<number> = (row, column) => {
  const value = row[column]
  return Number.isInteger(value) ? (value as number) : misfit(column, value)
}
const bigint: Reads<bigint> = (row, column) => {
  const value = row[column]
  return typeof value === "string" && /^\d{1,19}$/.test(value) ? BigInt(value) : misfit(column, value)
}

const readTime = reader("a time", Time)

/** `2026-01-31 12:00:00.123456+00` as `2026-01-31T12:00:00.123Z`, as jsonb spells it, too; other spellings by the schema. */
const time: Reads<string> = (row, column) => {
  const value = row[column]
  const [, day, clock, fraction = ""] =
    (typeof value === "string" && /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00(?::00)?$/.exec(value)) ||
    []
  return day === undefined ? readTime(value) : `${day}T${clock}.${fraction.padEnd(3, "0").slice(0, 3)}Z`
}

const columnsOf = fieldsIn(answerColumns)
const FreeDetail = Schema.Struct({
  until: FreeAddress.fields.until,
  lastOwner: FreeAddress.fields.lastOwner,
  draining: FreeAddress.fields.draining,
  reservations: FreeAddress.fields.reservations,
})
const readFree = reader("a free address", FreeAddress)
const freeDetailOf = reader("a free address", FreeDetail)

/** A row of `ipam.describe_address` of an address that nobody holds. */
export const toFreeAddress = (row: Row): FreeAddress =>
  readFree({ ...columnsOf(row), owner: ownerOf(row), ...freeDetailOf(row["detail"]) })
